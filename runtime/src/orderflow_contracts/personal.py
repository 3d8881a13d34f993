"""Which values of an event are personal, and about whom: what stands at the places that its class marks (`places`)."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel, RootModel

from orderflow_contracts.event import SUBJECT, Event
from orderflow_contracts.places import NOWHERE, Mark, Place

_LISTS = (tuple, list, set, frozenset, deque)


def personal_values(event: BaseModel) -> Iterator[str]:
    """Yield the text of all below that is marked, line by line: not all writers keep line feeds."""
    for _, value in _marked(NOWHERE, event):
        yield from _lines(value)


def subject_of(event: Event) -> str | None:
    """Return the id of the person whom the event is about; None where it does not say."""
    found = (value for mark, value in _marked(NOWHERE, event) if mark == SUBJECT)
    return next((text for value in found for text in _texts(value)), None)


def parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a value is made of, each part by its name as it is written, or by its number."""
    if isinstance(value, RootModel):
        yield from parts(value.root)
    elif isinstance(value, BaseModel) or (is_dataclass(value) and not isinstance(value, type)):
        yield from ((written, getattr(value, name)) for written, name in _names(type(value)))
    elif isinstance(value, Mapping):
        yield from ((str(name), below) for name, below in value.items())
    elif isinstance(value, _LISTS):
        yield from ((str(number), below) for number, below in enumerate(value))


@cache
def _names(kind: type[Any]) -> tuple[tuple[str, str], ...]:
    """Return how each field of a model or dataclass is written, and its name."""
    if issubclass(kind, BaseModel):
        known: Mapping[str, Any] = kind.model_fields
        plain = {name: made.alias or name for name, made in kind.model_computed_fields.items()}
    else:
        known, plain = getattr(kind, "__pydantic_fields__", {}), {one.name: one.name for one in fields(kind)}
    aliases = {name: field.serialization_alias or field.alias or name for name, field in known.items()}
    return tuple((written, name) for name, written in (plain | aliases).items())


def _marked(place: Place, value: Any) -> Iterator[tuple[Mark, Any]]:
    place = place.of(value)
    if place.mark is not None:
        yield place.mark, value
        return
    for part, below in parts(value):
        yield from _marked(place.below(part), below)


def _lines(value: Any) -> Iterator[str]:
    for text in _texts(value):
        yield from text.splitlines()


def _texts(value: Any) -> Iterator[str]:
    """Yield all that stands below something, as text."""
    if isinstance(value, RootModel):
        yield from _texts(value.root)
    elif isinstance(value, (BaseModel, Mapping, *_LISTS)) or is_dataclass(value):
        for _, below in parts(value):
            yield from _texts(below)
    elif value is not None:
        yield str(value)
