"""OTLP: spans as protobuf, over gRPC or HTTP. `app.py` makes one `Spans` of it, whose thread runs all of this.

The SDK's spans and encoder cost 15 times as much (docs/decisions/0023), so spans are built here from OpenTelemetry's
own protobuf classes. Its standard variables for endpoint, headers and certificate are honoured.
Source: OpenTelemetry protocol 1.x, and its specification of exporters.
"""

import gzip
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Proto
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.sdk.resources import OTELResourceDetector
from opentelemetry.util.re import parse_env_headers

from orderflow_model import environment
from orderflow_model.config import ServiceConfig
from orderflow_model.saga import TraceProtocol
from orderflow_runtime.context import NO_SPAN
from orderflow_runtime.spans import Attributes, Away, Encode, Refused, Send, Shape, Span, Spans

_TIMEOUT = 10.0
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_PASSING_GRPC = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "CANCELLED"})
_PASSING_HTTP = frozenset({408, 429, 502, 503, 504})
_IN_A_ROW = 64
"""How many spans are encoded before the event loop may go on: less than a millisecond."""
_SAMPLED = 1


def collector(config: ServiceConfig, endpoint: str, env: Mapping[str, str]) -> Spans:
    """Give the way of a service's spans to its collector."""
    return Spans(encoder(_resource(config, env)), sender(config.tracing.protocol, endpoint, env))


def _resource(config: ServiceConfig, env: Mapping[str, str]) -> dict[str, str]:
    """Give the attributes of this process; those of OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME go before."""
    own = {"service.name": config.service, "service.namespace": config.flow}
    if instance := env.get(environment.INSTANCE):
        own["service.instance.id"] = instance
    said = OTELResourceDetector().detect().attributes
    return own | {name: str(value) for name, value in said.items()}


def encoder(resource: Mapping[str, str]) -> Encode:
    """Give what makes requests; `resource` are the attributes of this process."""
    shapes: dict[Shape, bytes] = {}

    def encode(spans: Sequence[Span], pause: Callable[[], None]) -> bytes:
        request = ExportTraceServiceRequest()
        group = request.resource_spans.add()
        for key, value in resource.items():
            group.resource.attributes.add(key=key).value.string_value = value
        scope = group.scope_spans.add()
        scope.scope.name = "orderflow"
        for number, span in enumerate(spans, 1):
            if (shape := shapes.get(span.shape)) is None:
                shape = shapes[span.shape] = _encode_shape(span.shape)
            _fill(scope.spans.add(), shape, span)
            if number % _IN_A_ROW == 0:
                pause()
        return bytes(request.SerializeToString())

    return encode


def sender(protocol: TraceProtocol, endpoint: str, env: Mapping[str, str]) -> Send:
    """Give what sends requests to a collector."""
    headers = parse_env_headers(env.get(environment.OTLP_HEADERS, ""), liberal=True)
    certificate = env.get(environment.OTLP_CERTIFICATE)
    if protocol is TraceProtocol.GRPC:
        return _grpc_sender(endpoint, headers, certificate)
    return _http_sender(endpoint, headers, certificate)


def _encode_shape(shape: Shape) -> bytes:
    proto = Proto(name=shape.name, flags=_SAMPLED, kind=shape.kind.value)  # type: ignore[arg-type]  # an int, when run
    _set(proto, shape.attributes)
    return bytes(proto.SerializeToString())


def _fill(proto: Proto, shape: bytes, span: Span) -> None:
    proto.MergeFromString(shape)
    trace = span.trace
    proto.trace_id = bytes.fromhex(trace.id)
    proto.span_id = bytes.fromhex(trace.span)
    if trace.cause and trace.cause != NO_SPAN:
        proto.parent_span_id = bytes.fromhex(trace.cause)
    if trace.state:
        proto.trace_state = trace.state
    proto.start_time_unix_nano, proto.end_time_unix_nano = span.began, span.ended
    _set(proto, span.attributes)
    for link in span.links:
        proto.links.add(trace_id=bytes.fromhex(link.id), span_id=bytes.fromhex(link.span))
    if span.error:
        proto.status.code = Status.STATUS_CODE_ERROR
        proto.attributes.add(key="error.type").value.string_value = span.error


def _set(proto: Proto, attributes: Attributes) -> None:
    add = proto.attributes.add
    for key, value in attributes:
        if isinstance(value, str):
            add(key=key).value.string_value = value
        else:
            add(key=key).value.int_value = value


def _grpc_sender(endpoint: str, headers: Mapping[str, str], certificate: str | None) -> Send:
    url = urlsplit(endpoint)
    if url.scheme == "https":
        roots = Path(certificate).read_bytes() if certificate else None
        channel = grpc.secure_channel(url.netloc, grpc.ssl_channel_credentials(roots))
    else:
        channel = grpc.insecure_channel(url.netloc)
    export = channel.unary_unary(_EXPORT)
    metadata = tuple(headers.items())

    def send(request: bytes) -> None:
        try:
            export(request, timeout=_TIMEOUT, metadata=metadata, compression=grpc.Compression.Gzip)
        except grpc.RpcError as error:
            code = error.code().name
            raise (Away if code in _PASSING_GRPC else Refused)(f"{code}: {error.details()}") from None

    return send


def _http_sender(endpoint: str, headers: Mapping[str, str], certificate: str | None) -> Send:
    url = endpoint.rstrip("/") + "/v1/traces"
    context = ssl.create_default_context(cafile=certificate) if url.startswith("https:") else None
    told = {"content-type": "application/x-protobuf", "content-encoding": "gzip", **headers}

    def send(request: bytes) -> None:
        asked = urllib.request.Request(url, gzip.compress(request, 1), told)  # noqa: S310  (the model takes http and https alone)
        try:
            urllib.request.urlopen(asked, timeout=_TIMEOUT, context=context).close()  # noqa: S310  (as above)
        except urllib.error.HTTPError as error:
            error.close()
            raise (Away if error.code in _PASSING_HTTP else Refused)(f"HTTP {error.code}") from None
        except OSError as error:
            raise Away(repr(error)) from None

    return send
