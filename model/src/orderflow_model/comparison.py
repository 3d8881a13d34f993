"""A flow against what it was, and against the other flows. Pure.

Called at admission and in the operator's reconcile; neither can be seen from one resource alone.
"""

from collections.abc import Iterable, Iterator

from orderflow_model.base import Part
from orderflow_model.findings import Finding
from orderflow_model.flow import OrderFlow
from orderflow_model.kafka import Kafka, Provisioner
from orderflow_model.names import dead_letter_topic_name, object_name
from orderflow_model.topics import event_topic


def lint_change(old: OrderFlow, new: OrderFlow) -> tuple[Finding, ...]:
    """Return what an edit asks for that cannot be done: fewer partitions, another topic name or Kafka."""
    return (*_forbidden("spec.kafka", old.spec.kafka, new.spec.kafka), *_changed_events(old, new))


def lint_ownership(flow: OrderFlow, others: Iterable[OrderFlow]) -> tuple[Finding, ...]:
    """Return which topics and objects of the flow belong to flows that were there before it."""
    rivals = [other for other in others if _identity(other) != _identity(flow)]
    return tuple(finding for rival in rivals for finding in (*_topics(flow, rival), *_objects(flow, rival)))


def _forbidden(place: str, old: Part, new: Part) -> list[Finding]:
    broken = (transition for transition in new.transitions if not transition.allows(old, new))
    return [Finding(place, transition.message) for transition in broken]


def _changed_events(old: OrderFlow, new: OrderFlow) -> Iterator[Finding]:
    before = {event.name: event for event in old.spec.events}
    for index, event in enumerate(new.spec.events):
        if event.name in before:
            place = f"spec.events[{index}].topic"
            was = event_topic(old, before[event.name]).partitions
            now = event_topic(new, event).partitions
            forbidden = _forbidden(place, before[event.name], event)
            if now < was and not forbidden:
                message = f"has {was} partitions and cannot shrink to {now}: Kafka takes no partition away"
                forbidden = [Finding(f"{place}.partitions", message)]
            yield from forbidden


def _identity(flow: OrderFlow) -> tuple[str | None, str]:
    return flow.metadata.namespace, flow.metadata.name


def _written(flow: OrderFlow) -> str:
    return "/".join(filter(None, _identity(flow)))


def _same_kafka(one: Kafka, other: Kafka) -> bool:
    if one.provisioner is not other.provisioner:
        return False
    if one.provisioner is Provisioner.STRIMZI:
        return one.cluster == other.cluster
    return not set(one.bootstrap_servers).isdisjoint(other.bootstrap_servers)


def _topic_places(flow: OrderFlow) -> Iterator[tuple[str, str]]:
    for index, event in enumerate(flow.spec.events):
        yield f"spec.events[{index}].topic.name", event_topic(flow, event).name
    for index, service in enumerate(flow.spec.services):
        yield f"spec.services[{index}].name", dead_letter_topic_name(flow.metadata.name, service.name)


def _topics(flow: OrderFlow, rival: OrderFlow) -> Iterator[Finding]:
    if _same_kafka(flow.spec.kafka, rival.spec.kafka):
        taken = {name for _, name in _topic_places(rival)}
        for place, name in _topic_places(flow):
            if name in taken:
                yield Finding(place, f"topic {name} belongs to OrderFlow {_written(rival)}")


def _objects(flow: OrderFlow, rival: OrderFlow) -> Iterator[Finding]:
    if flow.metadata.namespace == rival.metadata.namespace:
        taken = {object_name(rival.metadata.name, service.name) for service in rival.spec.services}
        for index, service in enumerate(flow.spec.services):
            name = object_name(flow.metadata.name, service.name)
            if name in taken:
                place = f"spec.services[{index}].name"
                yield Finding(place, f"objects named {name} belong to OrderFlow {_written(rival)}")
