"""CloudEvents 1.0 on Kafka: what the runtime writes to record headers, and reads from records in either mode.

What decides over an event has to be right, or the record is refused: `id`, `source`, `type`, `time`, the version of
its data. All other metadata is left aside where it is odd, and counted.

Sources: CloudEvents 1.0.2 and its Kafka protocol binding (binary mode: attributes as `ce_` headers, the data as the
record's value; structured mode: `structured.py`); W3C Trace Context for `traceparent` and `tracestate`.
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from orderflow_contracts.event import UndecodableError
from orderflow_contracts.structured import is_structured, read_structured
from orderflow_contracts.timestamps import read_time, time_of_record, write_time

Header = tuple[str, bytes | None]
"""A record header. Kafka allows null values; bytes of a name that are not UTF-8 stand as lone surrogates."""

MAX_ATTRIBUTE = 1024
CONTENT_TYPE = "content-type"
TIME = "ce_time"
ATTRIBUTES = frozenset(
    (
        "ce_id",
        "ce_source",
        "ce_type",
        TIME,
        "ce_dataversion",
        "ce_specversion",
        "traceparent",
        "tracestate",
    )
)
"""The headers that are read, beside the content type."""
_STANDARD = frozenset(("ce_subject", "ce_dataschema", "ce_datacontenttype"))
_JSON: Header = (CONTENT_TYPE, b"application/json")
_SPEC_VERSION: Header = ("ce_specversion", b"1.0")
_is_parent = re.compile(
    r"(?!ff|00.{53}.)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]*)?"
).fullmatch
_is_state = re.compile(r"[ -~]+").fullmatch


def is_traceparent(text: str) -> bool:
    """Return whether this is a traceparent; fields that a coming version adds behind are passed over."""
    return len(text) <= MAX_ATTRIBUTE and _is_parent(text) is not None


@dataclass(frozen=True, slots=True)
class Envelope:
    """The attributes of one event. `time` is the event's own, in UTC; `version` is of its data's schema."""

    id: str
    source: str
    type: str
    time: dt.datetime
    version: int = 1
    traceparent: str | None = None
    tracestate: str | None = None

    def headers(self) -> list[Header]:
        """Return the record headers for this event."""
        headers = [
            _SPEC_VERSION,
            _JSON,
            ("ce_id", self.id.encode()),
            ("ce_source", self.source.encode()),
            ("ce_type", self.type.encode()),
            time_header(self.time),
            ("ce_dataversion", b"%d" % self.version),
        ]
        if self.traceparent:
            headers.append(("traceparent", self.traceparent.encode()))
        if self.tracestate:
            headers.append(("tracestate", self.tracestate.encode()))
        return headers


class Content(NamedTuple):
    """What a record holds: an event's attributes and the bytes of its data.

    `ignored` names metadata that was left aside. `timeless` events have no time of their own, so that the record's
    stands in for it.
    """

    envelope: Envelope
    data: bytes
    ignored: tuple[str, ...] = ()
    timeless: bool = False


def time_header(time: dt.datetime) -> Header:
    """Return the header of an event's time."""
    return TIME, write_time(time).encode()


def read_content(headers: Sequence[Header], value: bytes | None, timestamp: int = -1) -> Content:
    """Read a record, `timestamp` in milliseconds since 1970 or -1; raise `UndecodableError` naming what is wrong."""
    found = {name: body for name, body in headers if body is not None}
    mode = next((body for name, body in found.items() if name.lower() == CONTENT_TYPE), b"")
    if is_structured(mode) and value is not None:
        attributes, data = read_structured(value)
        # a header is of the last hop, the attribute of the same name of the first; a header's time was put in by us
        outside = {name: found[name] for name in ("traceparent", "tracestate") if name in found}
        found = ({TIME: found[TIME]} if TIME in found else {}) | attributes | outside
    else:
        data = value
    envelope = _read_envelope(found, time_of_record(timestamp))
    if data is None:
        raise UndecodableError("the record has no value")
    return Content(envelope, data, tuple(_ignored(found, envelope)), TIME not in found)


def trace_context(found: Mapping[str, bytes | None]) -> tuple[str | None, str | None]:
    """Return traceparent and tracestate from headers by name; None for what is not as the standard has it."""
    parent = (found.get("traceparent") or b"").decode("latin-1")
    state = (found.get("tracestate") or b"").decode("latin-1")
    if not is_traceparent(parent):
        return None, None
    return parent, state if len(state) <= MAX_ATTRIBUTE and _is_state(state) else None


def _read_envelope(found: Mapping[str, bytes], stand_in: dt.datetime | None) -> Envelope:
    if found.get("ce_specversion") != b"1.0":
        raise UndecodableError("ce_specversion is not 1.0")
    parent, state = trace_context(found)
    return Envelope(
        id=_required(found, "ce_id"),
        source=_required(found, "ce_source"),
        type=_required(found, "ce_type"),
        time=_time(found, stand_in),
        version=_version(found),
        traceparent=parent,
        tracestate=state,
    )


def _ignored(found: Mapping[str, bytes], envelope: Envelope) -> list[str]:
    """Name what is there and has no part in the event, by the kinds of docs/metrics.md."""
    ignored = ["extension" for name in found if name not in ATTRIBUTES and _is_extension(name)]
    if "traceparent" in found and envelope.traceparent is None:
        ignored.append("traceparent")
    if found.get("tracestate") and envelope.tracestate is None:
        ignored.append("tracestate")
    return ignored


def _is_extension(name: str) -> bool:
    return name.startswith("ce_") and name not in _STANDARD


def _required(found: Mapping[str, bytes], name: str) -> str:
    value = found.get(name, b"")
    if len(value) > MAX_ATTRIBUTE:
        raise UndecodableError(f"{name} is longer than {MAX_ATTRIBUTE} bytes")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise UndecodableError(f"{name} is not UTF-8") from None
    if not text or "\x00" in text:
        raise UndecodableError(f"{name} is missing, empty or holds a NUL character")
    return text


def _time(found: Mapping[str, bytes], stand_in: dt.datetime | None) -> dt.datetime:
    if TIME not in found:
        if stand_in is None:
            raise UndecodableError(f"{TIME} is missing, and the record has no timestamp")
        return stand_in
    try:
        return read_time(_required(found, TIME))
    except UndecodableError:
        raise
    except ValueError as error:
        raise UndecodableError(f"{TIME} is {error}") from None


def _version(found: Mapping[str, bytes]) -> int:
    text = found.get("ce_dataversion", b"1")
    if not (text.isdigit() and len(text) < 6 and int(text) > 0):
        raise UndecodableError("ce_dataversion is not a positive number")
    return int(text)
