"""What rows, records and requests carry of a trace, and how it is read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderflow_runtime.tracing.trace_context import (
    NONE,
    Trace,
    read_trace,
    set_call_attributes,
    trace_headers,
    trace_of,
    within,
)

HEX = "0123456789abcdef"
TRACE_ID, SPAN, OTHER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
SAMPLED = Trace(f"00-{TRACE_ID}-{SPAN}-01", "congo=t61rcWkgMzE")

ids = st.text(HEX, min_size=16, max_size=16).filter(lambda text: set(text) != {"0"})
traces = st.builds(
    lambda trace, span, flags, state, above: Trace(f"00-{trace}{trace}-{span}-{flags:02x}", state, *above),
    ids,
    ids,
    st.integers(0, 255),
    st.none() | st.just("a=b") | st.just("a=b, c=d e"),
    st.just(("", "")) | st.tuples(ids, ids),
)


@given(traces)
def test_a_stored_trace_is_read_back_as_it_was(trace: Trace) -> None:
    """Whatever its parts, what a row holds gives the same place again, and begins with the traceparent."""
    text = trace.text()
    assert text is not None
    assert text.startswith(str(trace.parent))
    assert read_trace(text) == trace


@given(traces)
def test_a_record_carries_no_more_than_the_standard_s_headers(trace: Trace) -> None:
    """From headers come traceparent and tracestate; what is ours alone stays here."""
    assert trace_of([("other", b"x"), *trace.headers()]) == trace.told()


@pytest.mark.parametrize(
    "parent",
    [
        None,
        "",
        "00",
        f"ff-{TRACE_ID}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID.upper()}-{SPAN}-01",
        f"00-{TRACE_ID}-{SPAN}-01x",
        f" 00-{TRACE_ID}-{SPAN}-01",
        "\x00" * 55,
    ],
)
def test_what_is_no_traceparent_is_none(parent: str | None) -> None:
    """Anything malformed counts for nothing, and is stored nowhere."""
    assert not Trace(parent).valid
    assert Trace(parent).text() is None


def test_a_coming_version_of_the_standard_is_read_as_this_one() -> None:
    """Fields that a later version adds behind are passed over."""
    assert Trace(f"01-{TRACE_ID}-{SPAN}-01-more").valid


def test_a_tracestate_that_no_row_takes_is_left_out() -> None:
    """NUL and what is no ASCII would fail the batch's statement."""
    assert read_trace(Trace(SAMPLED.parent, "a=\x00").text()) == Trace(SAMPLED.parent)
    assert read_trace(Trace(SAMPLED.parent, "ä=ö").text()) == Trace(SAMPLED.parent)
    assert read_trace(None) == NONE


def test_what_was_left_behind_hangs_on_the_nearest_span_that_another_told_of() -> None:
    """However many spans of our own lie between, they may have died with their process."""
    ours = SAMPLED.child("1" * 16).child("2" * 16)
    assert (ours.parent_span_id, ours.remote_parent_span_id) == ("1" * 16, SPAN)
    assert ours.left_behind() == SAMPLED
    assert SAMPLED.left_behind() == SAMPLED


def test_requests_made_inside_carry_the_context_and_nobody_else_s() -> None:
    """Within a block the headers are its trace's, after it those of before; notes go to the nearest."""
    assert trace_headers() == {}
    set_call_attributes({"lost": 1})
    with within(SAMPLED) as outer:
        with within(SAMPLED.child(OTHER)) as inner:
            set_call_attributes({"http.response.status_code": 200})
            assert trace_headers()["traceparent"] == f"00-{TRACE_ID}-{OTHER}-01"
        assert trace_headers() == {"traceparent": SAMPLED.parent, "tracestate": SAMPLED.state}
    assert (outer, inner) == ({}, {"http.response.status_code": 200})
    assert trace_headers() == {}
