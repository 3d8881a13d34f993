"""The sink on the runtime's doubles: what it writes, when, and how often."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

from orderflow_analytics.sink.handlers import ADD_DAYS, TABLE, sink_service
from orderflow_contracts.envelope import Envelope
from orderflow_runtime import RawEvent
from orderflow_runtime.core.event_log import Message
from orderflow_runtime.core.store import StoreUnavailable
from orderflow_runtime.testing import Harness

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def sink(*days: date) -> Harness:
    """Return a sink of two events, to which the given days pass, one a look at the calendar."""
    calendar: Iterator[date] = iter([*days, *[days[-1]] * 100])
    return Harness(sink_service("raw", ["ASKED", "ANSWERED"], lambda: next(calendar)))


def put(harness: Harness, event: str, number: int, data: bytes, version: int = 1) -> None:
    """Put an event on its topic."""
    envelope = Envelope(f"e{number}", "/shop/x", event, NOON, version)
    topic = f"{harness._config.flow}.{event.lower()}"
    harness.cluster.append(Message(topic, b"k%d" % number, envelope.headers(), data))


async def test_an_event_is_kept_byte_for_byte_and_once() -> None:
    """Data that is no JSON, of an unknown version, is kept as it came; a repeat and a lost commit add nothing."""
    async with sink(NOON.date()) as harness:
        harness.faults.add("committed", StoreUnavailable("the answer to COMMIT is lost"))
        put(harness, "ASKED", 1, b'{"torn":', version=9)
        put(harness, "ASKED", 1, b'{"torn":', version=9)
        put(harness, "ANSWERED", 2, b"{}")
        await harness.settle()
        rows = {row for query, given in harness.statements if query == TABLE for row in given}
    assert rows == {
        ("ASKED", "/shop/x", "e1", 9, "k1", NOON, b'{"torn":'),
        ("ANSWERED", "/shop/x", "e2", 1, "k2", NOON, b"{}"),
    }
    assert harness.dead_letters == []


async def test_the_coming_days_get_their_partitions_once_a_day() -> None:
    """Partitions are asked for at the first event of a day, and not again before the next."""
    first, second = date(2026, 1, 1), date(2026, 1, 2)
    async with sink(first, first, first, second) as harness:
        for number in range(5):
            put(harness, "ASKED", number, b"{}")
            await harness.settle()
        asked = [query == ADD_DAYS for query, _ in harness.statements]
    assert (asked.count(True), asked.count(False)) == (2, 5)
    assert asked[0]


def test_a_raw_event_needs_no_contract() -> None:
    """Its class is made of its name alone, and its key is the record's."""
    asked = RawEvent.named("ASKED")
    event = asked.received(b"\xff", Envelope("e1", "/s", "ASKED", NOON, 7), "k1")
    assert (event.TYPE, event.key, event.version, event.data, event.encode()) == ("ASKED", "k1", 7, b"\xff", b"\xff")
