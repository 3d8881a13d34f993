"""CloudEvents 1.0 over HTTP, as events are handed on and taken in: binary, structured and batched.

Attributes of an event are named as on Kafka (`ce_id`, but `traceparent`), so that one reading serves both.
Sources: CloudEvents 1.0.2, its HTTP protocol binding (section 3.1.3.2: values are percent-encoded UTF-8) and JSON event
format; its extensions "Partitioning" (`partitionkey`) and "Distributed Tracing".
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from orderflow_contracts.envelope import MAX_ATTRIBUTE
from orderflow_contracts.event import UndecodableError
from orderflow_contracts.structured import read_structured
from orderflow_contracts.timestamps import write_time
from orderflow_runtime import Handed

JSON, STRUCTURED, BATCH = "application/json", "application/cloudevents+json", "application/cloudevents-batch+json"
MAX_KEY = 256
_PREFIX = "ce-"
_TRACE = ("traceparent", "tracestate")
_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_is_plain = re.compile(r"[!#$&-~]*").fullmatch
_is_json = re.compile(r"(application|text)/([^;]+\+)?json\s*(;.*)?", re.IGNORECASE).fullmatch
_raws = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Said:
    """An event as somebody outside says it; `key` is what it names as its partition key, else its subject."""

    id: str
    source: str
    type: str
    data: bytes
    version: int | None = None
    partition_key: str | None = None
    subject: str | None = None


def attributes(handed: Handed) -> dict[str, str]:
    """Return an event's attributes by name, those of its trace too."""
    received = handed.received
    return {
        "specversion": "1.0",
        "id": received.id,
        "source": received.event.source,
        "type": handed.type,
        "time": write_time(received.time),
        "datacontenttype": JSON,
        "dataversion": str(received.event.version),
        "partitionkey": received.key,
        **handed.trace,
    }


def binary(handed: Handed) -> list[tuple[str, str]]:
    """Return the headers of an event whose data are the body."""
    told = attributes(handed)
    headers = [("content-type", told.pop("datacontenttype"))]
    headers += [(name, told[name]) for name in _TRACE if name in told]
    return headers + [(f"{_PREFIX}{name}", _encoded(value)) for name, value in told.items()]


def structured(handed: Handed, more: Mapping[str, str] | None = None) -> bytes:
    """Return an event as one JSON text, with further attributes; data that are no JSON go by base64."""
    told: dict[str, Any] = {**attributes(handed), **(more or {})}
    data = handed.received.event.data
    try:
        msgspec.json.decode(data)
        told["data"] = msgspec.Raw(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        told["data_base64"] = base64.b64encode(data).decode()
    return msgspec.json.encode(told)


def batch(events: Sequence[Handed]) -> bytes:
    """Return events as one JSON array, in their order."""
    return b"[" + b",".join(map(structured, events)) + b"]"


def read(headers: Mapping[str, str], body: bytes) -> list[Said] | None:
    """Return the events of a message, in any mode; None where it says nothing of any. Raise `UndecodableError`.

    Names of headers are in lower case.
    """
    content_type = headers.get("content-type", "")
    media = content_type.partition(";")[0].strip().lower()
    if media == BATCH:
        return [_said(*read_structured(bytes(one))) for one in _elements(body)]
    if media.startswith("application/cloudevents"):
        if media != STRUCTURED:
            raise UndecodableError(f"{media!a}: events in structured mode are read as JSON alone")
        return [_said(*read_structured(body))]
    if f"{_PREFIX}specversion" not in headers:
        return None
    found = {f"ce_{n.removeprefix(_PREFIX)}": unquote(v).encode() for n, v in headers.items() if n.startswith(_PREFIX)}
    return [_said(found | {"ce_datacontenttype": content_type.encode()}, body)]


def _elements(body: bytes) -> list[msgspec.Raw]:
    try:
        return _raws.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableError(f"the batch is no JSON array: {error}"[:500]) from None


def _said(found: Mapping[str, bytes], data: bytes | None) -> Said:
    if found.get("ce_specversion") != b"1.0":
        raise UndecodableError("specversion is not 1.0")
    content_type = found.get("ce_datacontenttype", b"").decode("latin-1")
    if content_type and not _is_json(content_type):
        raise UndecodableError(f"data of {content_type[:100]!a}: events of a flow are JSON")
    return Said(
        id=_text(found, "id"),
        source=_text(found, "source"),
        type=_text(found, "type"),
        data=_json(data),
        version=_version(found),
        partition_key=_text(found, "partitionkey") if "ce_partitionkey" in found else None,
        subject=_text(found, "subject") if "ce_subject" in found else None,
    )


def _text(found: Mapping[str, bytes], name: str) -> str:
    value = found.get(f"ce_{name}", b"")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise UndecodableError(f"{name} is not UTF-8") from None
    if not text or "\x00" in text or len(value) > MAX_ATTRIBUTE:
        raise UndecodableError(f"{name} is missing, empty, longer than {MAX_ATTRIBUTE} bytes or holds a NUL character")
    if name in ("partitionkey", "subject") and len(text) > MAX_KEY:
        raise UndecodableError(f"{name} is longer than {MAX_KEY} characters, which a key may have")
    return text


def _version(found: Mapping[str, bytes]) -> int | None:
    text = found.get("ce_dataversion")
    if text is None:
        return None
    if not (text.isdigit() and len(text) < 6 and int(text) > 0):
        raise UndecodableError("dataversion is not a positive number")
    return int(text)


def _json(data: bytes | None) -> bytes:
    if not data:
        raise UndecodableError("the event has no data")
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableError(f"the data are no JSON: {error}"[:500]) from None
    return data


def _encoded(value: str) -> str:
    return value if _is_plain(value) else quote(value, safe=_SAFE)
