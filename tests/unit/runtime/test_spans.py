"""The way out: nothing waits for it, nothing grows without bound, and what is sent is what OTLP says."""

import threading
import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from orderflow_runtime.tracing import span_queue as module
from orderflow_runtime.tracing.exporter import collector
from orderflow_runtime.tracing.otlp import encoder
from orderflow_runtime.tracing.span_queue import (
    MOST_WAITING,
    AwayError,
    Kind,
    RefusedError,
    Span,
    SpanQueue,
    SpanTemplate,
)
from orderflow_runtime.tracing.trace_context import NO_SPAN, Trace
from support.records.otlp import Received, grpc_collector
from support.runtime.sample_service import sample_config

TRACE_ID, ABOVE = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PLACE = Trace(f"00-{TRACE_ID}-00f067aa0ba902b7-01", "a=b", ABOVE)
TEMPLATE = SpanTemplate("process PUT", Kind.CONSUMER, (("messaging.system", "kafka"), ("n", 1)))
SPAN = Span(TEMPLATE, PLACE, 10, 20, (("messaging.kafka.offset", 2**40),), (PLACE,), "ValueError")


class Collector:
    """Takes requests, or does what `faults` say, one after another."""

    def __init__(self, *faults: Exception) -> None:
        self.taken: list[bytes] = []
        self.asked = 0
        self._faults = list(faults)

    def send(self, request: bytes) -> None:
        """Take one request."""
        self.asked += 1
        if self._faults:
            raise self._faults.pop(0)
        self.taken.append(request)


def count(spans: Sequence[Span], pause: Callable[[], None]) -> bytes:
    """Encode spans as their number."""
    pause()
    return b"%d" % len(spans)


def until(condition: Callable[[], object]) -> None:
    """Wait for a thread."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that would only make the tests slow."""
    monkeypatch.setattr(module, "_EVERY_SECONDS", 0.01)
    monkeypatch.setattr(module, "_FIRST_WAIT_SECONDS", 0.01)


def test_spans_are_sent_in_the_background_and_the_rest_at_the_end() -> None:
    """What was added is sent without anyone asking, and closing sends what still waits."""
    collector = Collector()
    spans = SpanQueue(count, collector.send)
    spans.start()
    spans.add(SPAN)
    until(lambda: collector.taken)
    for _ in range(600):
        spans.add(SPAN)
    spans.close(5)
    assert sum(map(int, collector.taken)) == 601


def test_a_collector_that_is_away_gets_the_spans_when_it_is_back() -> None:
    """The same request is sent again until it is taken."""
    collector = Collector(AwayError("no answer"), AwayError("still none"))
    spans = SpanQueue(count, collector.send)
    spans.add(SPAN)
    spans.start()
    until(lambda: collector.taken)
    assert (collector.taken, collector.asked, spans.dropped) == ([b"1"], 3, 0)
    spans.close(5)


def test_spans_that_the_collector_refuses_are_not_sent_again() -> None:
    """They are counted as lost, and the next are sent."""
    collector = Collector(RefusedError("INVALID_ARGUMENT"))
    spans = SpanQueue(count, collector.send)
    spans.add(SPAN)
    spans.start()
    until(lambda: spans.dropped)
    spans.add(SPAN)
    until(lambda: collector.taken)
    assert (collector.asked, spans.dropped) == (2, 1)
    spans.close(5)


def test_a_dead_collector_holds_up_neither_work_nor_the_end() -> None:
    """The queue is bounded, adding takes no time, and the process ends although nobody answers."""
    hung = threading.Event()
    spans = SpanQueue(count, lambda request: hung.wait(30) and None)  # type: ignore[arg-type, return-value]  # never returns
    spans.start()
    began = time.monotonic()
    for _ in range(2 * MOST_WAITING):
        spans.add(SPAN)
    assert spans.full
    assert spans.dropped >= MOST_WAITING - 1024
    spans.close(0.1)
    assert time.monotonic() - began < 5
    hung.set()


def test_a_fault_of_our_own_loses_spans_and_no_more() -> None:
    """The thread goes on."""
    collector = Collector(ValueError("a fault"))
    spans = SpanQueue(count, collector.send)
    spans.add(SPAN)
    spans.start()
    until(lambda: spans.dropped)
    spans.add(SPAN)
    until(lambda: collector.taken)
    spans.close(5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.text(min_size=1), st.text() | st.integers(0, 2**63 - 1))),
    st.integers(0, 2**64 - 1),
)
def test_whatever_attributes_hold_is_read_as_it_was(attributes: list[tuple[str, str | int]], time: int) -> None:
    """Lengths and numbers of any size, in any script."""
    span = Span(TEMPLATE, PLACE, time, time, tuple(attributes))
    request = ExportTraceServiceRequest.FromString(encoder({})([span], lambda: None))
    read = request.resource_spans[0].scope_spans[0].spans[0]
    found = [(a.key, getattr(a.value, a.value.WhichOneof("value"))) for a in read.attributes]
    assert found[len(TEMPLATE.attributes) :] == attributes
    assert (read.start_time_unix_nano, read.end_time_unix_nano) == (time, time)


def test_a_span_is_encoded_as_the_protocol_has_it() -> None:
    """Ids, times, attributes, links, status and the process's own attributes stand where OTLP puts them."""
    root = SPAN._replace(trace=PLACE._replace(parent_span_id=NO_SPAN), error=None, links=())
    paused: list[None] = []
    request = ExportTraceServiceRequest.FromString(
        encoder({"service.name": "sample"})([SPAN, root] * 64, lambda: paused.append(None))
    )
    (group,) = request.resource_spans
    assert [(a.key, a.value.string_value) for a in group.resource.attributes] == [("service.name", "sample")]
    first, second = group.scope_spans[0].spans[:2]
    assert (first.name, first.kind, first.flags) == ("process PUT", 5, 1)
    assert (first.trace_id.hex(), first.span_id.hex(), first.trace_state) == (TRACE_ID, "00f067aa0ba902b7", "a=b")
    assert (first.parent_span_id.hex(), second.parent_span_id) == (ABOVE, b"")
    assert (first.start_time_unix_nano, first.end_time_unix_nano) == (10, 20)
    attributes = {a.key: a.value.int_value or a.value.string_value for a in first.attributes}
    assert attributes == {
        "messaging.system": "kafka",
        "n": 1,
        "messaging.kafka.offset": 2**40,
        "error.type": "ValueError",
    }
    assert (first.status.code, second.status.code) == (2, 0)
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in first.links] == [(TRACE_ID, "00f067aa0ba902b7")]
    assert len(paused) == 2


def test_a_service_is_who_its_environment_says() -> None:
    """OTEL_RESOURCE_ATTRIBUTES is heeded, as by any program with OpenTelemetry's SDK."""
    env = {"OTEL_RESOURCE_ATTRIBUTES": "service.name=till,deployment.environment.name=staging"}
    received = Received()
    with grpc_collector(received) as endpoint:
        spans = collector(sample_config(), endpoint, env)
        spans.start()
        spans.add(SPAN)
        until(received.spans)
        spans.close(5)
    assert [span.service for span in received.spans()] == ["till"]
