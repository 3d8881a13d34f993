"""How requests reach a collector, by gRPC and by HTTP: taken, refused, or not now."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest

from orderflow_cli.servers.ports import free_port
from orderflow_model.service_config import ServiceConfig, TracingConfig
from orderflow_model.spec.saga import TraceProtocol
from orderflow_runtime.tracing.exporter import collector, sender
from orderflow_runtime.tracing.otlp import encoder
from orderflow_runtime.tracing.span_queue import AwayError, Kind, RefusedError, Span, SpanTemplate
from orderflow_runtime.tracing.trace_context import Trace
from support.records.otlp import Received, grpc_collector, http_collector
from support.runtime.sample_service import sample_config

SPAN = Span(SpanTemplate("send PUT", Kind.PRODUCER), Trace(f"00-{'1' * 32}-{'2' * 16}-01"), 10, 20)
REQUEST = encoder({"service.name": "sample"})([SPAN], lambda: None)
SERVERS = {TraceProtocol.GRPC: grpc_collector, TraceProtocol.HTTP: http_collector}


@contextmanager
def no_collector() -> Iterator[str]:
    """A gRPC server that serves something else."""
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop(0)


@pytest.mark.parametrize("protocol", TraceProtocol)
def test_a_request_is_taken(protocol: TraceProtocol) -> None:
    """What was encoded arrives."""
    received = Received()
    with SERVERS[protocol](received) as endpoint:
        sender(protocol, endpoint, {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x"})(REQUEST)
    (span,) = received.spans()
    assert (span.name, span.kind, span.service, span.trace) == ("send PUT", "PRODUCER", "sample", "1" * 32)


@pytest.mark.parametrize("protocol", TraceProtocol)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_collector_that_is_not_there_is_away(protocol: TraceProtocol, scheme: str) -> None:
    """Nobody listens: the request may be sent again."""
    with pytest.raises(AwayError):
        sender(protocol, f"{scheme}://127.0.0.1:{free_port()}", {})(REQUEST)


def test_a_server_that_is_no_collector_refuses() -> None:
    """Sending again would be in vain, by either protocol."""
    with no_collector() as endpoint, pytest.raises(RefusedError, match="UNIMPLEMENTED"):
        sender(TraceProtocol.GRPC, endpoint, {})(REQUEST)
    with http_collector(Received()) as endpoint, pytest.raises(RefusedError, match="404"):
        sender(TraceProtocol.HTTP, f"{endpoint}/elsewhere", {})(REQUEST)


def test_a_service_s_spans_say_whose_they_are() -> None:
    """Service, flow and instance are attributes of the resource; the flow's protocol is used."""
    received = Received()
    config: ServiceConfig = sample_config().model_copy(update={"tracing": TracingConfig(protocol=TraceProtocol.HTTP)})
    with http_collector(received) as endpoint:
        spans = collector(config, endpoint, {"ORDERFLOW_INSTANCE": "sample-0"})
        spans.start()
        spans.add(SPAN)
        spans.close(5)
    deadline = time.monotonic() + 5
    while not received.spans():
        assert time.monotonic() < deadline
    assert received.spans()[0].service == config.service
