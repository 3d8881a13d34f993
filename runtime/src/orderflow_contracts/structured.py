"""CloudEvents in Kafka's structured mode: the whole event is the record's value, as JSON. `envelope.py` calls it.

Sources: CloudEvents Kafka protocol binding 1.0.2, section 3.3 (the content type tells the mode); CloudEvents JSON
event format 1.0.2 (null means that an attribute is not set; `data` is JSON, `data_base64` the data's bytes).
"""

import base64
import re
from codecs import BOM_UTF8
from typing import NamedTuple

import msgspec

from orderflow_contracts.event import UndecodableError

_MODES = "application/cloudevents"
_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^";\s]*)', re.IGNORECASE)
_DATA = ("data", "data_base64")
_REQUIRED_TEXT = frozenset(("specversion", "id", "source", "type", "time"))
_UNPREFIXED = ("traceparent", "tracestate")
_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Structured(NamedTuple):
    """Attributes by their header's name (`ce_id`, but `traceparent`), in UTF-8; the data's bytes, if there are any."""

    attributes: dict[str, bytes]
    data: bytes | None


def is_structured(content_type: bytes) -> bool:
    """Return whether the value is an event in JSON; raise `UndecodableError` for forms of events that are not read."""
    text = content_type[:200].decode("latin-1")
    media = text.partition(";")[0].strip().lower()
    if not media.startswith(_MODES):
        return False
    if media.startswith(f"{_MODES}-batch"):
        raise UndecodableError("batched mode: a record is read as one event")
    if media != f"{_MODES}+json":
        raise UndecodableError(f"{media!a}: events in structured mode are read as JSON alone")
    charset = _CHARSET.search(text)
    if charset and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise UndecodableError(f"charset {charset[1]!a}: JSON is read as UTF-8")
    return True


def read_structured(value: bytes) -> Structured:
    """Read an event in JSON; raise `UndecodableError` naming what is wrong; an odd extension is no fault."""
    members = {name: raw for name, raw in _members(value).items() if bytes(raw) != b"null" or name == "data"}
    data = {name: members.pop(name) for name in _DATA if name in members}
    if len(data) > 1:
        raise UndecodableError("the event has both data and data_base64")
    attributes = {
        name if name in _UNPREFIXED else f"ce_{name}": _text(name, raw) if name in _REQUIRED_TEXT else _extension(raw)
        for name, raw in members.items()
    }
    return Structured(attributes, _data(data))


def _members(value: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _decoder.decode(value.removeprefix(BOM_UTF8))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableError(f"the event is no JSON object: {error}"[:500]) from None


def _text(name: str, raw: msgspec.Raw) -> bytes:
    try:
        return msgspec.json.decode(raw, type=str).encode()
    except (msgspec.DecodeError, UnicodeError):
        raise UndecodableError(f"{name} is not text") from None


def _extension(raw: msgspec.Raw) -> bytes:
    """Return an extension's text; one that is none, as it stands: who knows the extension judges it."""
    try:
        return msgspec.json.decode(raw, type=str).encode()
    except (msgspec.DecodeError, UnicodeError):
        return bytes(raw)


def _data(data: dict[str, msgspec.Raw]) -> bytes | None:
    if "data" in data:
        return bytes(data["data"])
    if "data_base64" not in data:
        return None
    try:
        return base64.b64decode(msgspec.json.decode(data["data_base64"], type=str), validate=True)
    except (msgspec.DecodeError, ValueError):
        raise UndecodableError("data_base64 is not base64") from None
