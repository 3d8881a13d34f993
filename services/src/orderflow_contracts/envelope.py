"""CloudEvents 1.0 in Kafka's binary mode: what the runtime writes to and reads from record headers.

Source: CloudEvents Kafka protocol binding 1.0.2 (attributes as `ce_` headers, data as the record's value).
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orderflow_contracts.event import Undecodable

Header = tuple[str, bytes | None]
"""A record header. Kafka allows null values; bytes of a name that are not UTF-8 stand as lone surrogates."""

MAX_HEADERS = 64
"""Records with more headers are refused: they are stored with parked events and dead letters."""
MAX_ATTRIBUTE = 1024

_CONTENT_TYPE: Header = ("content-type", b"application/json")
_SPEC_VERSION: Header = ("ce_specversion", b"1.0")
_KNOWN = frozenset(
    (
        "ce_id",
        "ce_source",
        "ce_type",
        "ce_time",
        "ce_dataversion",
        "ce_specversion",
        "traceparent",
        "tracestate",
    )
)


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
        """Give the record headers for this event."""
        headers = [
            _SPEC_VERSION,
            _CONTENT_TYPE,
            ("ce_id", self.id.encode()),
            ("ce_source", self.source.encode()),
            ("ce_type", self.type.encode()),
            ("ce_time", self.time.isoformat().encode()),
            ("ce_dataversion", b"%d" % self.version),
        ]
        if self.traceparent:
            headers.append(("traceparent", self.traceparent.encode()))
        if self.tracestate:
            headers.append(("tracestate", self.tracestate.encode()))
        return headers


def read_envelope(headers: Sequence[Header]) -> Envelope:
    """Read the attributes from record headers; raise `Undecodable` naming the one that is wrong."""
    if len(headers) > MAX_HEADERS:
        raise Undecodable(f"{len(headers)} headers; at most {MAX_HEADERS} are read")
    found = _attributes(headers)
    if found.get("ce_specversion") != "1.0":
        raise Undecodable("ce_specversion is not 1.0")
    return Envelope(
        id=_required(found, "ce_id"),
        source=_required(found, "ce_source"),
        type=_required(found, "ce_type"),
        time=_time(_required(found, "ce_time")),
        version=_version(found.get("ce_dataversion", "1")),
        traceparent=found.get("traceparent"),
        tracestate=found.get("tracestate"),
    )


def _attributes(headers: Iterable[Header]) -> dict[str, str]:
    found = {}
    for name, value in headers:
        if name in _KNOWN and value is not None:
            if len(value) > MAX_ATTRIBUTE:
                raise Undecodable(f"{name} is longer than {MAX_ATTRIBUTE} bytes")
            try:
                found[name] = value.decode()
            except UnicodeDecodeError:
                raise Undecodable(f"{name} is not UTF-8") from None
        elif not (name.isascii() or _is_text(name)):
            raise Undecodable("a header's name is not UTF-8")
    return found


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _required(found: dict[str, str], name: str) -> str:
    value = found.get(name)
    if not value or "\x00" in value:
        raise Undecodable(f"{name} is missing, empty or holds a NUL character")
    return value


def _time(text: str) -> dt.datetime:
    try:
        time = dt.datetime.fromisoformat(text)
        if time.tzinfo is not None:
            return time.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise Undecodable("ce_time is not an RFC 3339 time") from None
    raise Undecodable("ce_time has no offset from UTC")


def _version(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 6 and int(text) > 0):
        raise Undecodable("ce_dataversion is not a positive number")
    return int(text)
