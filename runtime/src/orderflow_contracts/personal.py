"""Which values of an event are personal, and about whom, by the marks in its model (`event.PERSONAL`, `SUBJECT`)."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel

from orderflow_contracts.event import PERSONAL, SUBJECT, Event


def personal_values(value: Any) -> Iterator[str]:
    """Yield the text of every field below that is marked as personal, line by line: not all writers keep line feeds."""
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            found = getattr(value, name)
            if field.json_schema_extra != PERSONAL:
                yield from personal_values(found)
            elif found is not None:
                yield from str(found).splitlines()
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from personal_values(item)


@cache
def is_personal(kind: type[Event]) -> bool:
    """Return whether an event's class marks anything as personal, or says whose it is."""
    return _has_mark(kind.model_json_schema())


def _has_mark(schema: Any) -> bool:
    if isinstance(schema, dict):
        marked = any(schema.get(name) is True for name in (*PERSONAL, *SUBJECT))
        return marked or any(map(_has_mark, schema.values()))
    return isinstance(schema, list) and any(map(_has_mark, schema))


def subject_of(event: Event) -> str | None:
    """Return the id of the person whom the event is about; None where it does not say."""
    return next(_subjects(event), None)


def _subjects(value: Any) -> Iterator[str]:
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            found = getattr(value, name)
            if field.json_schema_extra != SUBJECT:
                yield from _subjects(found)
            elif found is not None:
                yield str(found)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _subjects(item)
