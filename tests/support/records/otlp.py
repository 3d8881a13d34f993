"""A collector for tests: it takes spans by OTLP over gRPC and over HTTP, on real ports, and keeps them in memory."""

import gzip
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# a process that starts others must not have gRPC's threads begin anew between fork and exec
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from orderflow_cli.servers.ports import free_port

Request = trace_service_pb2.ExportTraceServiceRequest
Response = trace_service_pb2.ExportTraceServiceResponse


@dataclass(frozen=True)
class Seen:
    """A span as it arrived; ids in hex, `parent` empty at a root, times in seconds since 1970."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    began: float
    ended: float
    failed: bool
    service: str
    attributes: Mapping[str, Any]
    links: tuple[tuple[str, str], ...]


@dataclass
class Received:
    """What has arrived, from any thread."""

    _spans: list[Seen] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, request: Any) -> None:
        """Keep the spans of one request."""
        spans = list(_spans(request))
        with self._lock:
            self._spans += spans

    def spans(self) -> list[Seen]:
        """Give all there are."""
        with self._lock:
            return list(self._spans)


class _Service(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, received: Received) -> None:
        self._received = received

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        self._received.take(request)
        return Response()


@contextmanager
def grpc_collector(received: Received, port: int | None = None) -> Iterator[str]:
    """Serve OTLP over gRPC; gives the endpoint."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Service(received), server)
    address = f"127.0.0.1:{port or free_port()}"
    server.add_insecure_port(address)
    server.start()
    try:
        yield f"http://{address}"
    finally:
        server.stop(0).wait()


@contextmanager
def http_collector(received: Received) -> Iterator[str]:
    """Serve OTLP over HTTP (protobuf, gzip or plain, at /v1/traces); gives the endpoint."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/traces":
                received.take(Request.FromString(body))
            answer = Response().SerializeToString()
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _spans(request: Any) -> Iterator[Seen]:
    for group in request.resource_spans:
        service = _values(group.resource.attributes).get("service.name", "")
        for scope in group.scope_spans:
            for span in scope.spans:
                yield Seen(
                    name=span.name,
                    kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    began=span.start_time_unix_nano / 1e9,
                    ended=span.end_time_unix_nano / 1e9,
                    failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
                    service=service,
                    attributes=_values(span.attributes),
                    links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                )


def _values(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    return getattr(value, value.WhichOneof("value") or "string_value")
