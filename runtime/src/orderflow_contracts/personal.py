"""Which values of an event are personal, and about whom, by the marks in its model (`event.PERSONAL`, `SUBJECT`)."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from orderflow_contracts.event import PERSONAL, SUBJECT, Event


def personal_values(value: Any) -> Iterator[str]:
    """Yield the text of every field below that is marked, line by line: not all writers keep line feeds."""
    if isinstance(value, BaseModel):
        for name, mark in marks(type(value)).items():
            found = getattr(value, name)
            yield from personal_values(found) if mark is None else _lines(found)
    else:
        for item in _items(value):
            yield from personal_values(item)


def _lines(value: Any) -> Iterator[str]:
    """Yield all text below something that is personal as a whole."""
    if isinstance(value, BaseModel):
        value = dict(value)
    if isinstance(value, (Mapping, tuple, list)):
        for item in _items(value):
            yield from _lines(item)
    elif value is not None:
        yield from str(value).splitlines()


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
        for name, mark in marks(type(value)).items():
            found = getattr(value, name)
            if mark != SUBJECT:
                yield from _subjects(found)
            elif found is not None:
                yield str(found)
    else:
        for item in _items(value):
            yield from _subjects(item)


@cache
def marks(kind: type[BaseModel]) -> Mapping[str, Mapping[str, bool] | None]:
    """Return the mark of each field of a model: SUBJECT, PERSONAL or None.

    A mark counts beside others, and wherever it stands in the field's type: `Annotated[str, Field(...)] | None`.
    """
    return {name: _mark(field) for name, field in kind.model_fields.items()}


def _mark(field: FieldInfo) -> Mapping[str, bool] | None:
    extras = [field.json_schema_extra, *_extras(field.annotation)]
    found = [extra for extra in extras if isinstance(extra, dict)]
    return next((mark for mark in (SUBJECT, PERSONAL) if any(mark.items() <= extra.items() for extra in found)), None)


def _extras(of_type: Any, within: tuple[Any, ...] = ()) -> Iterator[Any]:
    """Yield what fields that stand within a type say; `within` are the types around, for one may name itself."""
    yield from (one.json_schema_extra for one in getattr(of_type, "__metadata__", ()) if isinstance(one, FieldInfo))
    for part in (getattr(of_type, "__value__", None), *get_args(of_type)):
        if part is not None and not any(part is one for one in within):
            yield from _extras(part, (*within, of_type))


def _items(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, (tuple, list)):
        yield from value
