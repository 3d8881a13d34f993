"""What one service process is told about itself: a JSON file named by ORDERFLOW_CONFIG.

Built from the resource by the operator (into a ConfigMap) and by `orderflow run`; the runtime reads it.
"""

from math import ceil

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from orderflow_model.flow import OrderFlow
from orderflow_model.names import dead_letter_topic_name, group_name
from orderflow_model.spec.delivery import Backoff, Delivery, OnExhausted
from orderflow_model.spec.saga import TraceConsumer, TraceProtocol, Tracing
from orderflow_model.spec.services import Service
from orderflow_model.topics import DAY_MS, Topic, dead_letter_topic, event_topic, longest_retention


class _Config(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


class Channel(_Config):
    """An event and the topic that carries it."""

    event: str
    topic: str
    max_message_bytes: int | None = Field(None, exclude_if=lambda limit: limit is None)
    """The largest batch that the topic takes, where the resource says so."""


class DeliveryConfig(_Config):
    """How the service tries an event; times in milliseconds."""

    retries: int = 5
    backoff: Backoff = Backoff.EXPONENTIAL
    delay_ms: int = 1_000
    max_delay_ms: int = 300_000
    timeout_ms: int = 30_000
    on_exhausted: OnExhausted = OnExhausted.DEAD_LETTER


class SagaConfig(_Config):
    """The events that begin and end a run, and its deadline in milliseconds."""

    begins: str
    ends: tuple[str, ...]
    deadline_ms: int


class TracingConfig(_Config):
    """Which runs are traced (`share`, from 0 to 1), how, and where spans go; None: nowhere."""

    consumer: TraceConsumer = TraceConsumer.PARENT
    share: float = 1.0
    endpoint: str | None = None
    protocol: TraceProtocol = TraceProtocol.GRPC


class ObjectiveConfig(_Config):
    """A promise on the time from the beginning of a run to its end."""

    name: str
    within_ms: int


class ServiceConfig(_Config):
    """All that the runtime needs to know of its service; `model_validate_json` reads the file."""

    flow: str
    service: str
    group: str
    dead_letter_topic: str
    subscribes: tuple[Channel, ...]
    publishes: tuple[Channel, ...]
    delivery: DeliveryConfig
    inbox_days: int
    tracing: TracingConfig = TracingConfig()
    saga: SagaConfig | None = None
    """Only for a service that begins or ends runs; no other need restart when a deadline changes."""
    objectives: tuple[ObjectiveConfig, ...] = ()
    """Only for a service that ends runs: it measures them, and no other need restart when a promise changes."""


def service_config(flow: OrderFlow, service: str) -> ServiceConfig:
    """Return the configuration of a service of the flow; KeyError when the flow has no such service."""
    entry = flow.service(service)
    return ServiceConfig(
        flow=flow.metadata.name,
        service=service,
        group=group_name(flow.metadata.name, service),
        dead_letter_topic=dead_letter_topic_name(flow.metadata.name, service),
        subscribes=_channels(flow, entry.subscribes),
        publishes=_channels(flow, entry.publishes),
        delivery=_delivery(entry.delivery.over(flow.spec.defaults.delivery)),
        inbox_days=_inbox_days(flow, entry),
        tracing=_tracing(flow.spec.tracing),
        saga=_saga(flow, entry),
        objectives=_objectives(flow, entry),
    )


def _channels(flow: OrderFlow, events: tuple[str, ...]) -> tuple[Channel, ...]:
    return tuple(_channel(name, event_topic(flow, flow.spec.event(name))) for name in events)


def _channel(event: str, topic: Topic) -> Channel:
    limit = topic.config.get("max.message.bytes")
    return Channel(event=event, topic=topic.name, max_message_bytes=int(limit) if limit else None)


def _delivery(delivery: Delivery) -> DeliveryConfig:
    return DeliveryConfig(
        retries=delivery.retries,
        backoff=delivery.backoff,
        delay_ms=delivery.delay.milliseconds,
        max_delay_ms=delivery.max_delay.milliseconds,
        timeout_ms=delivery.timeout.milliseconds,
        on_exhausted=delivery.on_exhausted,
    )


def _tracing(tracing: Tracing) -> TracingConfig:
    return TracingConfig(
        consumer=tracing.consumer,
        share=float(tracing.sampling) / 100,
        endpoint=tracing.endpoint,
        protocol=tracing.protocol,
    )


def _saga(flow: OrderFlow, service: Service) -> SagaConfig | None:
    saga = flow.spec.saga
    if saga is None or not {saga.begins, *saga.ends} & set(service.publishes):
        return None
    return SagaConfig(begins=saga.begins, ends=saga.ends, deadline_ms=saga.deadline.milliseconds)


def _objectives(flow: OrderFlow, service: Service) -> tuple[ObjectiveConfig, ...]:
    if flow.spec.saga is None or not set(flow.spec.saga.ends) & set(service.publishes):
        return ()
    return tuple(
        ObjectiveConfig(name=objective.name, within_ms=objective.within.milliseconds)
        for objective in flow.spec.objectives
    )


def _inbox_days(flow: OrderFlow, service: Service) -> int:
    """Return for how many days an event can come back: from its topic, then from the dead letters."""
    remembered = longest_retention(flow, service) + dead_letter_topic(flow, service).retention_ms
    return ceil(remembered / DAY_MS)
