"""Which spans there are: roots by key, sampling, parents and links, and requests with one command or many."""

from random import Random

import pytest

from orderflow_model.service_config import TracingConfig
from orderflow_model.spec.saga import TraceConsumer
from orderflow_runtime.tracing.span_queue import SpanQueue
from orderflow_runtime.tracing.trace_context import NO_SPAN, NONE, Trace
from orderflow_runtime.tracing.tracer import Asked, Tracer, asked

TRACE_ID, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = Trace(f"00-{TRACE_ID}-{SPAN}-01"), Trace(f"00-{TRACE_ID}-{SPAN}-00")


def tracer(share: float = 1, consumer: TraceConsumer = TraceConsumer.PARENT, flow: str = "shop") -> Tracer:
    """A tracer that records into a queue which nobody empties."""
    spans = SpanQueue(lambda spans, pause: b"", lambda request: None)
    return Tracer(flow, TracingConfig(share=share, consumer=consumer), spans, Random(1))


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 1])
def test_about_the_wanted_share_of_keys_is_sampled_and_by_everyone_alike(share: float) -> None:
    """The decision is the key's: another process takes the same, and a larger share keeps what a smaller had."""
    keys = [f"order-{number}" for number in range(4000)]
    taken = {key for key in keys if tracer(share).root(key).sampled}
    assert taken == {key for key in keys if tracer(share).root(key).sampled}
    assert abs(len(taken) / len(keys) - share) < 0.02
    assert taken <= {key for key in keys if tracer(min(1, share * 2)).root(key).sampled}


def test_a_root_is_no_span_and_a_trace_of_its_flow() -> None:
    """The first span hangs on nothing; another flow's order of the same id has another trace."""
    first = tracer().sending("k", NONE)
    assert (first.parent_span_id, first.remote_parent_span_id, first.valid) == (NO_SPAN, NO_SPAN, True)
    assert tracer().root("k").id != tracer(flow="other").root("k").id


def test_an_unsampled_root_is_a_context_that_can_be_sent() -> None:
    """Whoever reads it sees a valid traceparent with the flag down."""
    root = tracer(0).root("k")
    assert (root.valid, root.sampled) == (True, False)
    assert tracer(1).handling("k", root) is root


def test_what_came_with_a_context_is_sampled_as_it_was() -> None:
    """Parent-based: neither a share of none nor one of all changes what the caller decided."""
    assert tracer(0).handling("k", SAMPLED).parent_span_id == SPAN
    assert tracer(1).handling("k", UNSAMPLED) is UNSAMPLED


def test_a_malformed_context_counts_for_none() -> None:
    """The event is traced as one that came without."""
    assert tracer().handling("k", Trace("nonsense")).id == tracer().root("k").id


def test_without_a_collector_contexts_pass_as_they_are() -> None:
    """Nothing is recorded and no id is drawn; what begins here has its trace's id all the same, unsampled."""
    off = Tracer("shop", TracingConfig(share=1))
    assert off.handling("k", SAMPLED) is SAMPLED
    assert off.sending("k", SAMPLED) is SAMPLED
    assert (off.sending("k", NONE).id, off.sending("k", NONE).sampled) == (tracer().root("k").id, False)
    assert not off.takes_spans


def test_by_link_each_event_has_a_trace_of_its_own_that_names_its_cause() -> None:
    """The handling begins a trace, sampled as its cause is; it is linked instead of parented."""
    linking = tracer(0, TraceConsumer.LINK)
    place = linking.handling("k", SAMPLED)
    assert (place.id != SAMPLED.id, place.sampled, place.parent_span_id) == (True, True, NO_SPAN)
    assert linking.links(SAMPLED) == (SAMPLED,)
    assert linking.handling("k", UNSAMPLED) is UNSAMPLED
    assert tracer().links(SAMPLED) == ()


def test_one_command_is_its_request_and_many_have_a_trace_each() -> None:
    """A single order belongs to its client's trace; of a batch each is a root by its own key."""
    one, many = Asked(SAMPLED), Asked(SAMPLED)
    token = asked.set(one)
    assert [command.trace for command in tracer().commanded("place", ["a"])] == [one.span]
    assert one.span is not None
    assert one.span.parent_span_id == SPAN
    asked.set(many)
    places = [command.trace for command in tracer().commanded("place", ["a", "b"])]
    asked.reset(token)
    assert [place.id for place in places] == [tracer().root(key).id for key in "ab"]
    assert many.span is None
    assert many.commands == {place.span: ("place", place) for place in places}


def test_a_later_command_without_a_context_joins_the_run_s_trace() -> None:
    """The second request hangs on the first one's span, alone or in a batch."""
    run, alone, batch = SAMPLED, Asked(NONE), Asked(NONE)
    token = asked.set(alone)
    (command,) = tracer().commanded("cancel", ["k"])
    assert command.join(run) == alone.span
    assert alone.span is not None
    assert (alone.span.id, alone.span.parent_span_id) == (run.id, run.span)
    asked.set(batch)
    first, second = tracer().commanded("place", ["k", "l"])
    asked.reset(token)
    moved = first.join(run)
    assert (moved.id, moved.parent_span_id) == (run.id, run.span)
    assert {place for _, place in batch.commands.values()} == {moved, second.trace}


def test_a_later_command_of_another_trace_stays_there_and_links() -> None:
    """Its client's trace claims the request; what it causes belongs to the run."""
    other = Asked(Trace(f"00-{'1' * 32}-{'2' * 16}-01"))
    token = asked.set(other)
    (command,) = tracer().commanded("cancel", ["k"])
    asked.reset(token)
    place = command.trace
    assert command.join(SAMPLED) == SAMPLED
    assert (other.span, other.links) == (place, [SAMPLED])


def test_a_command_on_a_run_that_is_not_sampled_records_nothing() -> None:
    """Whole or not at all, whatever the later request wanted."""
    request = Asked(NONE)
    token = asked.set(request)
    (command,) = tracer().commanded("cancel", ["k"])
    asked.reset(token)
    assert command.join(UNSAMPLED) == UNSAMPLED
