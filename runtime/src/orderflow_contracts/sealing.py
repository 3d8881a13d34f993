"""An event with its personal values sealed, and read again, by the marks of its class (`event.PERSONAL`, `SUBJECT`)."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from orderflow_contracts.event import SUBJECT, Event, UndecodableError
from orderflow_contracts.flow_key import FlowKey, PersonKey, SealBrokenError
from orderflow_contracts.personal import marks
from orderflow_contracts.sealed import BOOLEAN_KIND, MASK, NUMBER_KIND, SUBJECT_KIND, TEXT_KIND, Sealed, replaced

_Conceal = Callable[[Any, str, str], Any]
"""(value, kind, path) → what is written in its place"""


def encode_sealed(event: Event, flow_key: FlowKey, key: PersonKey | None) -> bytes:
    """Return the event as JSON with its personal values sealed; masked where its person has no key any more."""

    def conceal(value: Any, kind: str, path: str) -> Any:
        if key is None:
            return MASK if isinstance(value, str) else type(value)()
        return str(Sealed(kind, key.person, flow_key.seal(key, to_json(value), event.TYPE, path)))

    return to_json(_concealed(event, event.model_dump(mode="json", by_alias=True), conceal, ""))


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


def _concealed(value: Any, data: Any, conceal: _Conceal, path: str) -> Any:
    """Return the data of a model with what its class marks concealed."""
    if isinstance(value, BaseModel):
        for name, mark in marks(type(value)).items():
            field = type(value).model_fields[name]
            written = field.serialization_alias or field.alias or name
            if written in data:
                below = f"{path}/{written}"
                if mark is not None:
                    data[written] = _leaves(data[written], SUBJECT_KIND if mark == SUBJECT else None, conceal, below)
                else:
                    data[written] = _concealed(getattr(value, name), data[written], conceal, below)
    elif isinstance(value, Mapping):
        return {name: _concealed(one, data[str(name)], conceal, f"{path}/{name}") for name, one in value.items()}
    elif isinstance(value, (tuple, list)):
        return [_concealed(one, data[at], conceal, f"{path}/{at}") for at, one in enumerate(value)]
    return data


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
