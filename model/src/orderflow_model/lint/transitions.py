"""A flow against what it was: what an edit asks for that cannot be done. Pure; called at admission."""

from collections.abc import Iterator

from orderflow_model.findings import Finding
from orderflow_model.flow import OrderFlow
from orderflow_model.spec.base import Part
from orderflow_model.topics import event_topic


def lint_change(old: OrderFlow, new: OrderFlow) -> tuple[Finding, ...]:
    """Return what an edit asks for that cannot be done: fewer partitions, another topic name or Kafka, no privacy."""
    return (
        *_forbidden("spec.privacy", old.spec, new.spec),
        *_forbidden("spec.kafka", old.spec.kafka, new.spec.kafka),
        *_changed_events(old, new),
    )


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
