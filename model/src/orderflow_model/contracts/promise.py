"""What the resource itself promises of each event, remembered as one text, and what an edit of it breaks.

The schemas that stand in the resource and the marks of personal data: all that can be judged without the modules of the
Event classes. What cannot be judged counts as breaking, what could never be read has promised nothing.
"""

import base64
import json
import zlib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from orderflow_model.contracts.changes import Break, Direction, breaks
from orderflow_model.contracts.errors import ContractsError
from orderflow_model.contracts.schema import READS, VERSION, Schema, checked, field_of, mark
from orderflow_model.findings import Finding
from orderflow_model.flow import GROUP, OrderFlow
from orderflow_model.spec.events import Event, EventTopic
from orderflow_model.status import PROMISES_MAX

WANTED_ANNOTATION = f"{GROUP}/allow-breaking"
"""Annotation of a flow that names the events, with commas between, whose readers an edit may break."""
_READ_MAX_BYTES = 64 * 1024 * 1024

Promises = Mapping[str, Event]
"""What the resource says of each event that it promises anything of, by the event's name."""


def of_resource(event: Event) -> dict[str, Any]:
    """Return the schema of an event's data that stands in the resource, its version filled in; raise `ContractsError`.

    It is version 1, and its readers take that alone, where it does not say so itself (`x-version`, `x-reads`).
    """
    where = f"spec.events: schema of {event.name}"
    own = deepcopy(dict(checked(event.payload_schema, where)))
    version = own.setdefault(VERSION, 1)
    reads = own.setdefault(READS, [version])
    numbers = [version, *reads] if isinstance(reads, list) else [None]
    if not all(isinstance(one, int) and one > 0 for one in numbers) or version not in reads:
        raise ContractsError(f"{where}: {VERSION} is no number, or {READS} not a list with it", "Mend it there")
    return own


def mark_personal(schema: dict[str, Any], event: Event) -> None:
    """Mark in a schema what the resource calls personal; raise `ContractsError` where it points to nothing."""
    for pointer in event.personal_data:
        if not mark(schema, pointer):
            what = f"spec.events: personalData {pointer} of {event.name} is not in its contract"
            raise ContractsError(what, "Point to a field of it")
    field_of(schema)  # references that lead nowhere are told now


def promises(flow: OrderFlow) -> Promises:
    """Return what a flow promises."""
    return {one.name: _promise(one) for one in flow.spec.events if one.payload_schema is not None or one.personal_data}


def as_text(promised: Promises) -> str | None:
    """Return promises as a text that `read` reads; None where there are none."""
    if not promised:
        return None
    plain = {name: event.model_dump(mode="json", exclude_defaults=True) for name, event in promised.items()}
    return base64.b64encode(zlib.compress(json.dumps(plain, sort_keys=True).encode(), 9)).decode()


def read(text: object) -> Promises:
    """Return the promises in a text; none where there is none, or somebody else wrote it."""
    if not isinstance(text, str):
        return {}
    try:
        plain = json.loads(zlib.decompressobj().decompress(base64.b64decode(text), _READ_MAX_BYTES))
        return {name: Event.model_validate(event) for name, event in plain.items()}
    except (ValueError, zlib.error, AttributeError):
        return {}


def wanted_breaks(flow: OrderFlow) -> frozenset[str]:
    """Return the events whose readers a flow says it may break."""
    said = flow.metadata.annotations.get(WANTED_ANNOTATION, "")
    return frozenset(filter(None, (name.strip() for name in said.split(","))))


def broken(before: Promises, flow: OrderFlow) -> tuple[Break, ...]:
    """Return what a flow breaks of what was promised before."""
    after, there = promises(flow), {event.name for event in flow.spec.events}
    changed = [name for name in sorted(before) if before[name] != after.get(name)]
    has_lake = flow.spec.analytics is not None
    return tuple(
        one
        for name in changed
        for one in _broken(before[name], after.get(name), is_there=name in there, has_lake=has_lake)
    )


def lint_promises(flow: OrderFlow) -> Iterator[Finding]:
    """Yield that all schemas of a flow together cannot be remembered, if so."""
    size = len(as_text(promises(flow)) or "")
    if size > PROMISES_MAX:
        message = f"all schemas together take {size:,} bytes compressed, of {PROMISES_MAX:,} that are remembered"
        yield Finding("spec.events", f"{message}; put some into a ConfigMap (schemaFrom)")


def _promise(event: Event) -> Event:
    return event.model_copy(update={"topic": EventTopic(), "schema_from": None})


def _broken(old: Event, new: Event | None, *, is_there: bool, has_lake: bool) -> Iterator[Break]:
    before = _readable(old)
    if before is not None:
        try:
            now = {old.name: _schema(new)} if is_there else {}
            yield from breaks({(old.name, before[VERSION]): before}, now, None, has_lake=has_lake)
        except ContractsError as error:
            yield Break(old.name, "", Direction.BACKWARD, f"cannot be judged, and so counts as broken: {error}")
    elif is_there:
        kept = new.personal_data if new else ()
        for pointer in sorted(set(old.personal_data) - set(kept)):
            yield Break(old.name, pointer, Direction.PERSONAL, "is no longer marked as personal data")


def _readable(event: Event) -> Schema | None:
    """Return a schema that was promised; None where there was none, or one that nobody could read."""
    if event.payload_schema is None:
        return None
    try:
        own = of_resource(event)
        for pointer in event.personal_data:
            mark(own, pointer)  # one that points to nothing takes nothing from the rest
        field_of(own)
    except ContractsError:
        return None
    return own


def _schema(event: Event | None) -> Schema | None:
    if event is None or event.payload_schema is None:
        return None
    own = of_resource(event)
    mark_personal(own, event)
    return own
