"""The tests' own collector, asked by the exporters of OpenTelemetry's SDK: what it shows is what was sent."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind

from support.records.otlp import Received, grpc_collector, http_collector


def _grpc(endpoint: str) -> SpanExporter:
    return GrpcExporter(endpoint=endpoint, insecure=True)


def _http(endpoint: str) -> SpanExporter:
    return HttpExporter(endpoint=f"{endpoint}/v1/traces")


@pytest.mark.parametrize(("serve", "export"), [(grpc_collector, _grpc), (http_collector, _http)])
def test_the_collector_shows_what_the_sdk_sends(
    serve: Callable[[Received], AbstractContextManager[str]], export: Callable[[str], Any]
) -> None:
    """Name, kind, parent, attributes and the service of a span arrive over both protocols."""
    received = Received()
    with serve(received) as endpoint:
        provider = TracerProvider(resource=Resource({"service.name": "shop"}))
        provider.add_span_processor(SimpleSpanProcessor(export(endpoint)))
        tracer = provider.get_tracer("test")
        with tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner", kind=SpanKind.CLIENT) as span:
            span.set_attribute("n", 3)
        provider.shutdown()
    inner, outer = received.spans()
    assert (inner.name, inner.kind, inner.attributes, inner.service) == ("inner", "CLIENT", {"n": 3}, "shop")
    assert (inner.trace, inner.parent, outer.parent) == (outer.trace, outer.id, "")
