"""The topics a flow consists of, each with everything needed to make it.

The operator and `orderflow run` make them; `service_part` and lint read names, partitions and retention.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from orderflow_model.flow import OrderFlow
from orderflow_model.names import dead_letter_topic_name, topic_name
from orderflow_model.spec.events import Event
from orderflow_model.spec.services import Service
from orderflow_model.topic_settings import written

DAY_MS = 86_400_000
DEAD_LETTER_RETENTION_MS = 14 * DAY_MS
DEAD_LETTER_BYTES = 4_194_304  # an event at Kafka's 1 MB limit plus the headers that say why it died


@dataclass(frozen=True)
class Topic:
    """One topic: retention in milliseconds, config as Kafka names and writes its settings.

    `place` is where the resource asks for it.
    """

    name: str
    partitions: int
    replicas: int
    retention_ms: int
    config: dict[str, str] = field(default_factory=dict)
    place: str = field(default="", compare=False)


def event_topic(flow: OrderFlow, event: Event) -> Topic:
    """Return the topic that carries an event, the flow's defaults filled in."""
    own, defaults = event.topic, flow.spec.defaults.topic
    replicas = own.replicas or defaults.replicas
    retention = (own.retention or defaults.retention).milliseconds
    return Topic(
        name=own.name or topic_name(flow.metadata.name, event.name),
        partitions=own.partitions or defaults.partitions,
        replicas=replicas,
        retention_ms=retention,
        config=_settings(replicas, retention) | _written(defaults.config) | _written(own.config or {}),
    )


def dead_letter_topic(flow: OrderFlow, service: Service) -> Topic:
    """Return the topic of a service's dead letters; one partition, so that a redrive keeps their order."""
    replicas = flow.spec.defaults.topic.replicas
    retention = max(DEAD_LETTER_RETENTION_MS, longest_retention(flow, service))
    return Topic(
        name=dead_letter_topic_name(flow.metadata.name, service.name),
        partitions=1,
        replicas=replicas,
        retention_ms=retention,
        config=_settings(replicas, retention) | {"max.message.bytes": str(DEAD_LETTER_BYTES)},
    )


def flow_topics(flow: OrderFlow) -> tuple[Topic, ...]:
    """Return every topic of the flow: one per event, one of dead letters per subscribing service."""
    events = (
        replace(event_topic(flow, event), place=f"spec.events[{index}].topic")
        for index, event in enumerate(flow.spec.events)
    )
    letters = (
        replace(dead_letter_topic(flow, service), place=place)
        for place, service in flow.services_by_place.items()
        if service.subscribes
    )
    return (*events, *letters)


def longest_retention(flow: OrderFlow, service: Service) -> int:
    """Return the longest retention in ms among the topics a service subscribes, 0 without any."""
    subscribed = (flow.spec.event(name) for name in service.subscribes)
    return max((event_topic(flow, event).retention_ms for event in subscribed), default=0)


def _settings(replicas: int, retention_ms: int) -> dict[str, str]:
    in_sync = max(1, replicas - 1)  # one broker may be away, and an acknowledged event still has two copies
    return {
        # what nothing is lost by, whatever the broker's own defaults are
        "cleanup.policy": "delete",
        "retention.bytes": "-1",
        "retention.ms": str(retention_ms),
        "min.insync.replicas": str(in_sync),
    }


def _written(config: Mapping[str, str]) -> dict[str, str]:
    return {name: written(name, value) for name, value in config.items()}
