"""Who may do what in Kafka: the matrix of the flow as access rules, the same for both provisioners. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from orderflow_model.flow import OrderFlow
from orderflow_model.names import (
    DEAD_LETTERS,
    autoscaler_user_name,
    dead_letter_topic_name,
    group_name,
    kafka_lag_user_name,
    kafka_user_name,
    object_name,
)
from orderflow_model.spec.console import CONSOLE
from orderflow_model.spec.kafka import Provisioner
from orderflow_model.spec.services import Service
from orderflow_model.topics import event_topic, flow_topics


class ResourceType(StrEnum):
    """What a rule speaks of."""

    TOPIC = "topic"
    GROUP = "group"


class Operation(StrEnum):
    """What it allows; Read and Write imply Describe."""

    READ = "Read"
    WRITE = "Write"
    DESCRIBE = "Describe"
    DESCRIBE_CONFIGS = "DescribeConfigs"


@dataclass(frozen=True)
class Acl:
    """One thing that a user may do."""

    type: ResourceType
    name: str
    operations: tuple[Operation, ...]


def service_user(flow: OrderFlow, service: str) -> str:
    """Return the user of a service: `shop-inventory` with Strimzi, whose users are of one namespace.

    A Kafka without Strimzi may serve many namespaces: there it is `team-a.shop.inventory`.
    """
    if flow.spec.kafka.provisioner is Provisioner.STRIMZI:
        return object_name(flow.metadata.name, service)
    return kafka_user_name(flow.metadata.namespace or "", flow.metadata.name, service)


def autoscaler_user(flow: OrderFlow) -> str:
    """Return the user that looks at the flow's lag: `shop.autoscaler` with Strimzi, else `team-a.shop`."""
    if flow.spec.kafka.provisioner is Provisioner.STRIMZI:
        return autoscaler_user_name(flow.metadata.name)
    return kafka_lag_user_name(flow.metadata.namespace or "", flow.metadata.name)


def service_acls(flow: OrderFlow, service: Service) -> tuple[Acl, ...]:
    """Return what a service may do: read what it subscribes, write what it publishes, its dead letters, its group.

    The console may read all that is the flow's, and write events, which puts dead letters back.
    """
    if service.name == CONSOLE and flow.spec.console is not None:
        return _console_acls(flow)
    reads = _topics(flow, service.subscribes)
    writes = _topics(flow, service.publishes)
    if not service.subscribes:
        return tuple(Acl(ResourceType.TOPIC, topic, (Operation.WRITE,)) for topic in writes)
    writes = [*writes, dead_letter_topic_name(flow.metadata.name, service.name)]
    group = Acl(ResourceType.GROUP, group_name(flow.metadata.name, service.name), (Operation.READ,))
    return (*(_on_topic(topic, topic in reads, topic in writes) for topic in dict.fromkeys([*reads, *writes])), group)


def _console_acls(flow: OrderFlow) -> tuple[Acl, ...]:
    events = {event_topic(flow, event).name for event in flow.spec.events}
    seen = (Operation.READ, Operation.DESCRIBE_CONFIGS)
    topics = (
        Acl(ResourceType.TOPIC, topic.name, (*seen, *([Operation.WRITE] if topic.name in events else [])))
        for topic in flow_topics(flow)
    )
    groups = (group_name(flow.metadata.name, service.name) for service in flow.services if service.subscribes)
    return (*topics, *(Acl(ResourceType.GROUP, group, (Operation.DESCRIBE,)) for group in groups))


def autoscaler_acls(flow: OrderFlow, services: Iterable[Service]) -> tuple[Acl, ...]:
    """Return what the autoscaler of these services may do: look at their lag."""
    services = tuple(services)
    topics = dict.fromkeys(topic for service in services for topic in _topics(flow, service.subscribes))
    groups = (group_name(flow.metadata.name, service.name) for service in services)
    return (
        *(Acl(ResourceType.TOPIC, topic, (Operation.DESCRIBE,)) for topic in topics),
        *(Acl(ResourceType.GROUP, group, (Operation.DESCRIBE,)) for group in groups),
    )


def permitted(rules: Iterable[Acl], topics: Collection[str]) -> tuple[Acl, ...]:
    """Return the rules that speak of these topics: there is no right on a topic that is not the flow's.

    A group goes with its dead letters: who has one name has the other.
    """
    return tuple(rule for rule in rules if bound_to(rule.type, rule.name) in topics)


def bound_to(kind: ResourceType, name: str) -> str:
    """Return the topic that a right on a topic or a group goes with."""
    return name if kind is ResourceType.TOPIC else f"{name}{DEAD_LETTERS}"


def _on_topic(topic: str, reads: bool, writes: bool) -> Acl:
    operations = ((Operation.READ, reads), (Operation.WRITE, writes))
    return Acl(ResourceType.TOPIC, topic, tuple(operation for operation, given in operations if given))


def _topics(flow: OrderFlow, events: Iterable[str]) -> list[str]:
    return [event_topic(flow, flow.spec.event(event)).name for event in events]
