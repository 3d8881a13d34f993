"""The contract of an event: the JSON Schema of what services read, with what the resource knows of it.

It comes from the Event class of that name in the flow's module, or from the schema that stands in the resource. A
schema carries, beside the standard's words, the event and flow (`x-event`, `x-flow`), its version (`x-version`), the
versions that its readers take (`x-reads`) and `x-personal-data` at personal fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic.errors import PydanticUserError

from orderflow_contracts.event import Event
from orderflow_contracts.event_classes import load_event_classes
from orderflow_model.contracts.errors import ContractsError
from orderflow_model.contracts.promise import mark_personal, of_resource
from orderflow_model.contracts.schema import EVENT, FLOW, PERSONAL, READS, SUBJECT, VERSION, Field, Schema, field_of
from orderflow_model.flow import OrderFlow
from orderflow_model.spec import events
from orderflow_model.topics import Topic, event_topic

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MADE = "Made by orderflow contracts export; not to be edited."


@dataclass(frozen=True)
class EventContract:
    """One event of a flow: its topic, who publishes and subscribes it, and the schema of its data, if one is known."""

    event: str
    topic: Topic
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    schema: Schema | None

    @property
    def version(self) -> int:
        """Return the version of its data."""
        return int(self.schema[VERSION]) if self.schema else 1

    @property
    def words(self) -> str:
        """Return what the event means, in its author's words; empty where nobody said."""
        return str(self.schema.get("description", "")) if self.schema else ""

    @cached_property
    def data(self) -> Field | None:
        """Return its data as a field with fields below."""
        return field_of(self.schema) if self.schema else None


def load_contracts(flow: OrderFlow, module: str | None) -> tuple[EventContract, ...]:
    """Return the contract of each event of a flow, in the resource's order; raise `ContractsError`.

    `module` has the Event classes; without, it is what `spec.analytics.contracts` names, if that is there.
    """
    analytics = flow.spec.analytics
    kinds = _event_classes(module or (analytics.contracts if analytics else None))
    return tuple(_contract(flow, event, kinds.get(event.name)) for event in flow.spec.events)


def _contract(flow: OrderFlow, event: events.Event, kind: type[Event] | None) -> EventContract:
    services = flow.spec.services
    return EventContract(
        event=event.name,
        topic=event_topic(flow, event),
        producers=tuple(service.name for service in services if event.name in service.publishes),
        consumers=tuple(service.name for service in services if event.name in service.subscribes),
        schema=_schema(flow, event, kind),
    )


def _schema(flow: OrderFlow, event: events.Event, kind: type[Event] | None) -> Schema | None:
    if kind is None and event.payload_schema is None:
        return None
    own = _of_class(kind) if kind else of_resource(event)
    version, reads = own.pop(VERSION), own.pop(READS)
    own |= {"$schema": DIALECT, "$comment": MADE, FLOW: flow.metadata.name, EVENT: event.name}
    own |= {VERSION: version, READS: reads}
    mark_personal(own, event)
    return own


def _of_class(kind: type[Event]) -> dict[str, Any]:
    try:
        found = kind.model_json_schema(by_alias=True, mode="validation")
    except PydanticUserError as error:
        why = str(error).partition("\n")[0]
        what = f"{kind.__qualname__} has no JSON Schema: {why}"
        raise ContractsError(what, "Give its fields types of JSON") from None
    _move_marks(found)
    return found | {VERSION: kind.VERSION, READS: _read_versions(kind)}


def _move_marks(node: Any) -> None:
    """Put the mark of documents where pydantic has put the one of classes."""
    if isinstance(node, dict) and node.get("personal") is True:
        del node["personal"]
        node[PERSONAL] = True
    if isinstance(node, dict) and node.get("subject") is True:
        del node["subject"]
        node[SUBJECT] = True
    for below in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _move_marks(below)


def _read_versions(kind: type[Event]) -> list[int]:
    """Return the versions of its data that a class reads: its own, and older ones with an unbroken row of upcasters."""
    oldest = kind.VERSION
    while oldest - 1 in kind.UPCASTERS:
        oldest -= 1
    return list(range(oldest, kind.VERSION + 1))


def _event_classes(module: str | None) -> Mapping[str, type[Event]]:
    if module is None:
        return {}
    try:
        kinds = load_event_classes(module)
    except Exception as error:  # whatever a module's own code raises while it is read
        why = f"{type(error).__name__}: {error}"[:300]
        raise ContractsError(f"module {module} cannot be imported ({why})", "Name one that is installed here") from None
    if not kinds:
        raise ContractsError(f"module {module} has no Event class with a TYPE", "Name the module that has the events")
    return kinds
