"""Spans as OTLP has them: `exporter.py` sends what this makes.

The SDK's spans and encoder cost 30 times as much, OpenTelemetry's protobuf classes alone three times
(docs/decisions/0023): what every span has is written by hand, the rest by those classes.
Sources: `opentelemetry/proto/trace/v1/trace.proto` of OTLP 1.x, and protobuf's encoding.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from struct import Struct

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Proto
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from orderflow_runtime.tracing.span_queue import Encode, Span, SpanTemplate
from orderflow_runtime.tracing.trace_context import NO_SPAN

_IN_A_ROW = 64
"""How many spans are encoded before the event loop may go on: less than a millisecond."""
_SAMPLED = 1
_FIRST, _SECOND = b"\x0a", b"\x12"
"""Tags of the fields 1 and 2 that have a length: `key` and `value`, `resource` and `scope_spans`, `scope`, `spans`."""
_LINK = b"\x6a\x1c\x0a\x10"
"""Begins a link: it is 28 bytes long, and its first field is a trace's id of 16."""
_TIMES = Struct("<BQBQ")
_SMALL = [bytes((number,)) for number in range(0x80)]


def encoder(resource: Mapping[str, str]) -> Encode:
    """Return what makes requests; `resource` are the attributes of this process."""
    templates: dict[SpanTemplate, bytes] = {}
    whose = Resource(attributes=[_attribute(*pair) for pair in resource.items()]).SerializeToString()
    scope = InstrumentationScope(name="orderflow").SerializeToString()

    def encode(spans: Sequence[Span], pause: Callable[[], None]) -> bytes:
        parts = [_part(_FIRST, scope)]
        for number, span in enumerate(spans, 1):
            if (template := templates.get(span.template)) is None:
                template = templates[span.template] = _encode_template(span.template)
            parts.append(_part(_SECOND, _encode_span(template, span)))
            if number % _IN_A_ROW == 0:
                pause()
        return _part(_FIRST, _part(_FIRST, whose) + _part(_SECOND, b"".join(parts)))

    return encode


def _encode_template(template: SpanTemplate) -> bytes:
    attributes = [_attribute(key, value) for key, value in template.attributes]
    proto = Proto(name=template.name, flags=_SAMPLED, kind=template.kind.value, attributes=attributes)  # type: ignore[arg-type]  # an int, when run
    return bytes(proto.SerializeToString())


def _attribute(key: str, value: str | int) -> KeyValue:
    known = AnyValue(string_value=value) if isinstance(value, str) else AnyValue(int_value=value)
    return KeyValue(key=key, value=known)


def _encode_span(template: bytes, span: Span) -> bytes:
    """Write what every span has, by hand; the rest is encoded by the classes. Joined, parts of a message are one."""
    trace = span.trace
    parts = [b"\x0a\x10", bytes.fromhex(trace.id), b"\x12\x08", bytes.fromhex(trace.span)]
    if trace.parent_span_id and trace.parent_span_id != NO_SPAN:
        parts += (b"\x22\x08", bytes.fromhex(trace.parent_span_id))
    parts += (template, _TIMES.pack(0x39, span.began, 0x41, span.ended))
    for key, value in span.attributes:
        body = value.encode() if isinstance(value, str) else _varint(value)
        known = _part(b"\x0a", body) if isinstance(value, str) else b"\x18" + body
        parts.append(_part(b"\x4a", _key(key) + _part(_SECOND, known)))
    for link in span.links:
        parts += (_LINK, bytes.fromhex(link.id), b"\x12\x08", bytes.fromhex(link.span))
    if trace.state or span.error:
        parts.append(_encode_rest(span))
    return b"".join(parts)


def _encode_rest(span: Span) -> bytes:
    proto = Proto(trace_state=span.trace.state or "")
    if span.error:
        proto.status.code = Status.STATUS_CODE_ERROR
        proto.attributes.append(_attribute("error.type", span.error))
    return bytes(proto.SerializeToString())


def _part(tag: bytes, content: bytes) -> bytes:
    """Write a field that has a length (wire type 2)."""
    return tag + _varint(len(content)) + content


@cache
def _key(key: str) -> bytes:
    return _part(_FIRST, key.encode())


def _varint(number: int) -> bytes:
    """Write a number that is not negative, seven bits a byte, the lowest first."""
    if number < 0x80:
        return _SMALL[number]
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
