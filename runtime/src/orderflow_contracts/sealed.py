"""How a personal value stands in an event of a flow with `spec.privacy`: sealed by its person's key, as one JSON text.

`~sealed:1:KIND:PERSON:BYTES`. The person is a random id that their key goes by; bytes are in base64url. Who has not the
key still reads the event: a mask stands in for the value, and that of the person's own id is the random one, by which
people can be counted and nobody be found. `flow_key.py` seals and opens.
"""

import base64
import re
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

MASK = "erased@erased.invalid"
"""Stands for a text that cannot be read: one line, and an address that reaches nobody (RFC 2606), for forms ask so."""
SUBJECT_KIND, TEXT_KIND, NUMBER_KIND, BOOLEAN_KIND = "s", "t", "n", "b"
_MASKS: dict[str, Any] = {TEXT_KIND: MASK, NUMBER_KIND: 0, BOOLEAN_KIND: False}
_BEGIN = "~sealed:1:"
_PATTERN = rf"{_BEGIN}([stnb]):([0-9a-f]{{32}}):([A-Za-z0-9_-]+)"
_sealed = re.compile(_PATTERN).fullmatch
_sealed_in = re.compile(_PATTERN.encode()).finditer


class Sealed(NamedTuple):
    """A value that is sealed: what kind it was, whose key opens it, and the bytes."""

    kind: str
    person: uuid.UUID
    content: bytes

    def __str__(self) -> str:
        content = base64.urlsafe_b64encode(self.content).decode().rstrip("=")
        return f"{_BEGIN}{self.kind}:{self.person.hex}:{content}"

    def mask(self) -> Any:
        """Return what stands in for the value."""
        return str(self.person) if self.kind == SUBJECT_KIND else _MASKS[self.kind]


Replace = Callable[[Sealed, str], Any]
"""Gives the value of what is sealed at a path, as `/customer/email`."""


def people_in(data: bytes) -> set[uuid.UUID]:
    """Return whose sealed values stand in an event's data, or in any other text."""
    if _BEGIN.encode() not in data:
        return set()
    return {uuid.UUID(found[2].decode()) for found in _sealed_in(data)}


def replaced(data: bytes, replace: Replace) -> bytes:
    """Return the data with all that is sealed replaced; data that hold nothing sealed, or are no JSON, as they are."""
    if not people_in(data):
        return data
    try:
        values = from_json(data)
    except ValueError:
        return data
    return to_json(_replaced(values, replace, ""))


def masked(data: bytes) -> bytes:
    """Return the data as who has no key reads them."""
    return replaced(data, lambda sealed, _: sealed.mask())


def _bytes_of(text: str) -> bytes:
    """Return what base64 says; nothing, which no key opens, for what somebody wrote who has none of ours."""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""


def _replaced(value: Any, replace: Replace, path: str) -> Any:
    if isinstance(value, dict):
        return {name: _replaced(below, replace, f"{path}/{name}") for name, below in value.items()}
    if isinstance(value, list):
        return [_replaced(below, replace, f"{path}/{number}") for number, below in enumerate(value)]
    if isinstance(value, str) and (found := _sealed(value)):
        content = _bytes_of(found[3])
        return replace(Sealed(found[1], uuid.UUID(found[2]), content), path)
    return value
