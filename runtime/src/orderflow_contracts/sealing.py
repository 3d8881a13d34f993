"""An event with its personal values sealed, and read again, by the marks of its class (`event.PERSONAL`, `SUBJECT`)."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import from_json, to_json

from orderflow_contracts.event import SUBJECT, Event, UndecodableError
from orderflow_contracts.flow_key import FlowKey, PersonKey, SealBrokenError
from orderflow_contracts.personal import parts
from orderflow_contracts.places import NOWHERE, Place
from orderflow_contracts.sealed import BOOLEAN_KIND, MASK, NUMBER_KIND, SUBJECT_KIND, TEXT_KIND, Sealed, replaced

_Conceal = Callable[[Any, str, str], Any]
"""(value, kind, path) → what is written in its place"""


def encode_sealed(event: Event, flow_key: FlowKey, key: PersonKey | None) -> bytes:
    """Return the event as JSON with its personal values sealed; masked where its person has no key any more."""

    def conceal(value: Any, kind: str, path: str) -> Any:
        if key is None:
            return MASK if isinstance(value, str) else type(value)()
        return str(Sealed(kind, key.person, flow_key.seal(key, to_json(value), event.TYPE, path)))

    return to_json(_concealed(NOWHERE, event, event.model_dump(mode="json", by_alias=True), conceal, ""))


def open_sealed(data: bytes, event: str, flow_key: FlowKey, keys: Mapping[uuid.UUID, PersonKey]) -> bytes:
    """Return an event's data with what these keys open, the rest masked; raise `UndecodableError` for broken ones."""

    def opened(sealed: Sealed, path: str) -> Any:
        if (key := keys.get(sealed.person)) is None:
            return sealed.mask()
        try:
            return from_json(flow_key.open(key, sealed.content, event, path))
        except SealBrokenError as error:
            raise UndecodableError(f"{event}{path}: {error}") from None

    return replaced(data, opened)


def _concealed(place: Place, value: Any, data: Any, conceal: _Conceal, path: str) -> Any:
    """Return what is written of a value with all concealed that stands at a marked place."""
    place = place.of(value)
    if place.mark is not None:
        return _leaves(data, SUBJECT_KIND if place.mark == SUBJECT else None, conceal, path)
    if not isinstance(data, (dict, list)):
        return data
    known = dict(parts(value))

    def below(part: str, written: Any) -> Any:
        return _concealed(place.below(part), known.get(part), written, conceal, f"{path}/{part}")

    if isinstance(data, dict):
        return {name: below(name, written) for name, written in data.items()}
    return [below(str(number), written) for number, written in enumerate(data)]


def _leaves(data: Any, marked: str | None, conceal: _Conceal, path: str) -> Any:
    if isinstance(data, dict):
        return {name: _leaves(below, marked, conceal, f"{path}/{name}") for name, below in data.items()}
    if isinstance(data, list):
        return [_leaves(below, marked, conceal, f"{path}/{at}") for at, below in enumerate(data)]
    return data if data is None else conceal(data, marked or _kind(data), path)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return BOOLEAN_KIND
    return NUMBER_KIND if isinstance(value, (int, float)) else TEXT_KIND
