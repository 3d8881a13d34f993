"""What is told of events that are handled, retried, given up, redriven, left behind, and of calls and timers."""

from typing import Any

import pytest

from orderflow_contracts.dead_letters import LETTER_ID, REDRIVE_OF
from orderflow_contracts.envelope import Header
from orderflow_model.service_config import TracingConfig
from orderflow_model.spec.saga import TraceConsumer
from orderflow_runtime.core.event_log import Record
from orderflow_runtime.tracing.span_queue import MOST_WAITING, Kind, Span
from orderflow_runtime.tracing.trace_context import Trace
from support.runtime.recorded_spans import RecordedSpans
from support.runtime.running import Bench
from support.runtime.sample_service import Put, sample_config

TRACE_ID, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED: list[Header] = [("traceparent", f"00-{TRACE_ID}-{SPAN}-01".encode()), ("tracestate", b"a=b")]
UNSAMPLED: list[Header] = [("traceparent", f"00-{TRACE_ID}-{SPAN}-00".encode())]


@pytest.fixture
def recorded() -> RecordedSpans:
    """What is told."""
    return RecordedSpans()


def published(bench: Bench) -> list[Record]:
    """What the service has published."""
    return bench.cluster.records_of(bench.config.publishes[0].topic)


def attributes(span: Span) -> dict[str, Any]:
    """All attributes of a span."""
    return dict((*span.template.attributes, *span.attributes))


async def test_an_event_is_processed_under_its_cause_and_sends_under_its_processing(recorded: RecordedSpans) -> None:
    """Parents go from the incoming record to the processing to the sending, whose id the outgoing record has."""
    bench = Bench(spans=recorded)
    record = bench.send(Put(thing="k", n=1), event_id="one", extra=SAMPLED)
    async with bench.running():
        await bench.until(lambda: recorded.named("send DONE"), "it is sent")
    processing, sending = recorded.only("process PUT"), recorded.only("send DONE")
    assert (processing.trace.id, processing.trace.parent_span_id, processing.trace.state) == (TRACE_ID, SPAN, "a=b")
    assert (sending.trace.id, sending.trace.parent_span_id) == (TRACE_ID, processing.trace.span)
    headers = dict(published(bench)[0].headers)
    assert headers["traceparent"] == (sending.trace.parent or "").encode()
    assert headers["tracestate"] == b"a=b"
    assert attributes(processing) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "t.put",
        "messaging.destination.template": "PUT",
        "messaging.destination.partition.id": str(record.partition.number),
        "messaging.consumer.group.name": bench.config.group,
        "messaging.kafka.offset": 0,
        "messaging.kafka.message.key": "k",
        "messaging.message.id": "one",
    }
    assert (processing.template.kind, sending.template.kind) == (Kind.CONSUMER, Kind.PRODUCER)


async def test_an_event_that_is_not_sampled_passes_its_context_on_and_is_told_of_by_nobody(
    recorded: RecordedSpans,
) -> None:
    """Not even its batch is."""
    bench = Bench(spans=recorded)
    bench.send(Put(thing="k", n=1), extra=UNSAMPLED)
    async with bench.running():
        await bench.until(lambda: published(bench), "it is published")
    assert dict(published(bench)[0].headers)["traceparent"] == UNSAMPLED[0][1]
    assert recorded.all == []


async def test_a_batch_is_a_span_of_its_own_with_links_to_what_caused_its_events(recorded: RecordedSpans) -> None:
    """It counts all events and links the recorded ones."""
    bench = Bench(spans=recorded, partitions=1)
    for number, headers in enumerate((SAMPLED, UNSAMPLED, SAMPLED)):
        bench.send(Put(thing=f"k{number}", n=1), extra=headers)
    async with bench.running():
        await bench.until(lambda: len(published(bench)) == 3, "all are published")
    batch = recorded.only("process batch")
    assert attributes(batch)["messaging.batch.message_count"] == 3
    assert [(link.id, link.span) for link in batch.links] == [(TRACE_ID, SPAN)] * 2
    assert batch.trace.id != TRACE_ID


async def test_every_attempt_is_a_span_under_the_same_cause(recorded: RecordedSpans) -> None:
    """Failed ones say the error's type alone, what waits behind its key says nothing, and retries are counted."""
    bench = Bench(sample_config(retries=5, delay_ms=1, max_delay_ms=2), spans=recorded)
    bench.script.refuse["k", 1] = 3  # the batch as a whole, then the event alone, then its first retry
    bench.send(Put(thing="k", n=1), extra=SAMPLED)
    bench.send(Put(thing="k", n=2), extra=SAMPLED)
    async with bench.running():
        await bench.until(lambda: len(published(bench)) == 2, "both are handled")
    spans = recorded.named("process PUT")
    assert [span.error for span in spans] == ["Refused", "Refused", None, None]
    assert [attributes(span).get("orderflow.retries", 0) for span in spans] == [0, 1, 2, 0]
    assert {span.trace.parent_span_id for span in spans} == {SPAN}
    assert len({span.trace.span for span in spans}) == 4


async def test_a_dead_letter_keeps_the_trace_and_its_redrive_goes_on_in_it(recorded: RecordedSpans) -> None:
    """The last attempt is told of with the letter's id; redriven, the event hangs on the same cause."""
    bench = Bench(sample_config(retries=0), spans=recorded)
    bench.script.refuse["k", 1] = 2  # the batch as a whole, then the event alone
    bench.send(Put(thing="k", n=1), event_id="one", extra=SAMPLED)
    async with bench.running():
        await bench.until(bench.letters, "the dead letter")
        letter = bench.letters()[0]
        extra = [*SAMPLED, (REDRIVE_OF, letter[LETTER_ID])]
        bench.send(Put(thing="k", n=1), event_id="one", extra=extra)
        await bench.until(lambda: published(bench), "it is handled")
    assert letter["traceparent"] == SAMPLED[0][1]
    (row,) = bench.store.state.dead.values()
    assert row.letter.trace == Trace(f"00-{TRACE_ID}-{SPAN}-01", "a=b")
    died, lived = recorded.named("process PUT")
    assert (died.error, attributes(died)["orderflow.dead_letter.id"]) == ("Refused", letter[LETTER_ID].decode())
    assert (lived.error, lived.trace.parent_span_id, died.trace.parent_span_id) == (None, SPAN, SPAN)


async def test_a_record_that_cannot_be_read_is_told_of_under_its_cause(recorded: RecordedSpans) -> None:
    """Poison is a failed span of its event, as far as it names a trace."""
    bench = Bench(spans=recorded)
    bench.send(Put(thing="k", n=1), extra=SAMPLED, value=b"{")
    async with bench.running():
        await bench.until(bench.letters, "the dead letter")
        await bench.until(lambda: recorded.named("process PUT"), "it is told of")
    assert (recorded.only("process PUT").error, recorded.only("process PUT").trace.parent_span_id) == (
        "UndecodableError",
        SPAN,
    )


async def test_a_call_and_its_outcome_hang_on_the_handler_that_wanted_it(recorded: RecordedSpans) -> None:
    """A question that is not answered is a failed span, the question after it another."""
    bench = Bench(sample_config(delay_ms=1, max_delay_ms=1), spans=recorded)
    bench.outside.answers = ["lost"]
    bench.send(Put(thing="k", n=1, do=("call",)), extra=SAMPLED)
    async with bench.running():
        await bench.until(lambda: recorded.named("process call/outside"), "the outcome is handled")
    wanted = recorded.only("process PUT").trace
    for name, error in (
        ("perform outside", "OutcomeUnknownError"),
        ("lookup outside", None),
        ("process call/outside", None),
    ):
        span = recorded.only(name)
        assert (span.trace.id, span.trace.parent_span_id, span.error) == (TRACE_ID, wanted.span, error)


async def test_a_timer_fires_in_the_trace_that_set_it(recorded: RecordedSpans) -> None:
    """However much later, and in whichever process."""
    bench = Bench(spans=recorded)
    bench.send(Put(thing="k", n=1, do=("set 0.01",)), extra=SAMPLED)
    async with bench.running():
        await bench.until(lambda: recorded.named("process timer/alarm"), "it fires")
    fired, cause = recorded.only("process timer/alarm"), recorded.only("process PUT")
    assert (fired.trace.id, fired.trace.parent_span_id, fired.template.kind) == (
        TRACE_ID,
        cause.trace.span,
        Kind.INTERNAL,
    )


async def test_what_a_dead_process_left_hangs_on_what_others_told_of(recorded: RecordedSpans) -> None:
    """Who publishes the outbox of a process that died untold tells of the sending, under the incoming event."""
    bench = Bench(spans=recorded)
    bench.faults.always = lambda step: (_ for _ in ()).throw(RuntimeError(step)) if step == "publish" else None
    bench.send(Put(thing="k", n=1), extra=SAMPLED)
    first = bench.instance()
    first.start()
    await bench.until(bench.owed, "it is committed")
    await first.crash()
    recorded.all.clear()
    bench.faults.always = lambda step: None
    async with bench.running():
        await bench.until(lambda: recorded.named("send DONE"), "the next one sends it")
    assert (recorded.only("send DONE").trace.id, recorded.only("send DONE").trace.parent_span_id) == (TRACE_ID, SPAN)


async def test_by_link_the_processing_begins_a_trace_that_names_its_cause(recorded: RecordedSpans) -> None:
    """What it sends belongs to the new trace."""
    config = sample_config().model_copy(update={"tracing": TracingConfig(consumer=TraceConsumer.LINK)})
    bench = Bench(config, spans=recorded)
    bench.send(Put(thing="k", n=1), extra=SAMPLED)
    async with bench.running():
        await bench.until(lambda: recorded.named("send DONE"), "it is sent")
    processing, sending = recorded.only("process PUT"), recorded.only("send DONE")
    assert [(link.id, link.span) for link in processing.links] == [(TRACE_ID, SPAN)]
    assert processing.trace.id != TRACE_ID
    assert (sending.trace.id, sending.trace.parent_span_id) == (processing.trace.id, processing.trace.span)


async def test_no_span_is_made_while_there_is_no_room_for_it(recorded: RecordedSpans) -> None:
    """Behind a dead collector events are handled and carry their context as ever."""
    recorded._waiting.extend([Span(None, Trace(), 0, 0)] * MOST_WAITING)  # type: ignore[arg-type]  # spans that are only counted
    bench = Bench(spans=recorded)
    bench.send(Put(thing="k", n=1), extra=SAMPLED)
    async with bench.running():
        await bench.until(lambda: published(bench), "it is published")
    assert recorded.all == []
    assert dict(published(bench)[0].headers)["traceparent"][3:35].decode() == TRACE_ID
