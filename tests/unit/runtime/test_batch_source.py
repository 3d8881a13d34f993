"""What is taken of what was fetched: it has to go on where the lease stands, in the same log."""

import asyncio
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from orderflow_runtime.core.event_log import Partition, Position, Record, Stretch
from orderflow_runtime.core.store import Due, Lease, ParkedRow
from orderflow_runtime.dispatch.masking import Fetch, Masking
from orderflow_runtime.dispatch.outbound_calls import OutboundCalls
from orderflow_runtime.worker import batch_source
from orderflow_runtime.worker.batch_source import BatchSource
from support.runtime.running import Bench, message
from support.runtime.sample_service import Put

ID, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)


class Fetched:
    """A log of which this was fetched."""

    def __init__(self, *stretches: Stretch) -> None:
        self._stretches = stretches

    async def fetch(self, limit: int, wait: float) -> Sequence[Stretch]:
        """Give it."""
        return self._stretches


def stretch(bench: Bench, begin: int, end: int, topic_id: uuid.UUID = ID) -> Stretch:
    """Events at all these offsets."""
    sent = message(bench.config, Put(thing="k"))
    at = Partition(sent.topic, 0)
    records = [Record(at, offset, sent.key, sent.headers, sent.value) for offset in range(begin, end)]
    return Stretch(at, Position(begin, topic_id), Position(end, topic_id), records)


@pytest.mark.parametrize(
    ("begin", "end", "topic_id", "taken"),
    [
        (5, 8, ID, [5, 6, 7]),
        (3, 8, ID, [5, 6, 7]),
        (3, 5, ID, None),
        (6, 8, ID, None),
        (5, 8, OTHER, None),
    ],
    ids=["it goes on", "it overlaps", "it is known", "something lies between", "it is of another topic"],
)
async def test_a_stretch_is_taken_where_it_goes_on(
    begin: int, end: int, topic_id: uuid.UUID, taken: list[int] | None
) -> None:
    """At offset 5 nothing is passed over and nothing read twice, whatever was fetched before the lease was taken."""
    bench = Bench()
    read: Any = Fetched(stretch(bench, begin, end, topic_id))
    outbound_calls: OutboundCalls = bench.instance().outbound_calls
    source = BatchSource(read, bench.store, {bench.config.subscribes[0].topic: Put})
    at = Partition(bench.config.subscribes[0].topic, 0)
    batch = await source.next_batch({at: Lease(1, Position(5, ID))}, outbound_calls)
    assert [item.offset for item in batch.items] == (taken or [])
    assert batch.offsets == ({at: Position(end, ID)} if taken else {})


async def test_at_rest_what_is_due_is_asked_for_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look is a query: they come further apart while nothing happens, and soon again after a batch."""
    monkeypatch.setattr(batch_source, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(batch_source, "_RESTING_SECONDS", 1.0)
    bench, at = Bench(), Partition("t.put", 0)
    empty: Any = Fetched()
    outbound_calls: OutboundCalls = bench.instance().outbound_calls
    source = BatchSource(empty, bench.store, {})

    async def looks() -> int:
        before, ends = bench.faults.seen.count("due"), time.monotonic() + 0.3
        while time.monotonic() < ends:
            await source.next_batch({at: Lease(1, Position(0, ID))}, outbound_calls)
            await asyncio.sleep(0.001)
        return bench.faults.seen.count("due") - before

    assert 3 < await looks() < 10, "at an even pace it would be thirty"
    assert await looks() < 3


class Arriving:
    """A log in which stretches come when they are put."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Stretch] = asyncio.Queue()

    async def fetch(self, limit: int, wait: float) -> Sequence[Stretch]:
        """Give the next."""
        try:
            return [await asyncio.wait_for(self.queue.get(), wait)]
        except TimeoutError:
            return ()


async def paced(bench: Bench, within: float) -> tuple[Arriving, BatchSource, Any]:
    """Return a source for whose first topic nobody waits, its log, and its next batch."""
    arriving: Any = Arriving()
    outbound_calls: OutboundCalls = bench.instance().outbound_calls
    slow, other = (channel.topic for channel in bench.config.subscribes)
    source = BatchSource(arriving, bench.store, {slow: Put, other: Put}, within={slow: within})
    leases = {Partition(topic, 0): Lease(1, Position(0, ID)) for topic in (slow, other)}
    await source.next_batch(leases, outbound_calls)

    async def next_batch() -> list[int | None]:
        batch = await source.next_batch(leases, outbound_calls)
        for partition, position in batch.offsets.items():
            leases[partition].next = position
        return [item.offset for item in batch.items]

    return arriving, source, next_batch


async def test_what_nobody_waits_for_is_handled_together() -> None:
    """It is handled when its time is over, all that came meanwhile with it, in order."""
    bench = Bench()
    arriving, _, next_batch = await paced(bench, 0.2)
    began = time.monotonic()
    for n in range(3):
        arriving.queue.put_nowait(stretch(bench, n, n + 1))
    assert await next_batch() == [0, 1, 2]
    assert 0.15 < time.monotonic() - began < 2


async def test_what_nobody_waits_for_goes_with_anything_else() -> None:
    """An event that is waited for is handled at once, and takes the others along."""
    bench = Bench()
    arriving, _, next_batch = await paced(bench, 30.0)
    slow = stretch(bench, 0, 2)
    arriving.queue.put_nowait(slow)
    at = Partition(bench.config.subscribes[1].topic, 0)
    records = [replace(record, partition=at) for record in slow.records]
    arriving.queue.put_nowait(Stretch(at, slow.begin, slow.end, records))
    began = time.monotonic()
    assert await next_batch() == [0, 1, 0, 1]
    assert time.monotonic() - began < 2


async def test_who_is_woken_does_not_wait_for_what_nobody_waits_for() -> None:
    """An outcome of a call, or an end, is not held up; what waits is kept for the next batch."""
    bench = Bench()
    arriving, source, next_batch = await paced(bench, 0.3)
    arriving.queue.put_nowait(stretch(bench, 0, 1))
    began = time.monotonic()
    source.wake()
    assert await next_batch() == []
    assert time.monotonic() - began < 0.2
    while not (found := await next_batch()):
        assert time.monotonic() - began < 2
    assert found == [0]


async def test_outcomes_of_calls_do_not_hurry_what_nobody_waits_for() -> None:
    """A service whose events end in calls would else make a batch of each outcome's few, again and again."""
    bench, arriving = Bench(), Arriving()
    slow = bench.config.subscribes[0].topic
    read: Any = arriving
    source = BatchSource(read, bench.store, {slow: Put}, within={slow: 0.5})
    outcomes: Any = SimpleNamespace(waiting=0, take=lambda _: ["an outcome"])
    leases = {Partition(slow, 0): Lease(1, Position(0, ID))}
    await source.next_batch(leases, outcomes)
    arriving.queue.put_nowait(stretch(bench, 0, 1))
    sizes = []
    for _ in range(3):
        source.wake()
        await asyncio.sleep(0.01)
        sizes.append(len((await source.next_batch(leases, outcomes)).items))
    assert sizes == [1, 1, 1]
    await asyncio.sleep(0.5)
    assert len((await source.next_batch(leases, outcomes)).items) == 2


async def test_who_has_no_partition_waits_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance that only stands by has nothing to look for in the database, and wakes up seldom."""
    bench, arriving = Bench(), Arriving()
    read: Any = arriving
    outbound_calls: OutboundCalls = bench.instance().outbound_calls
    source = BatchSource(read, bench.store, {}, pace=0.005)
    turns, ends = 0, time.monotonic() + 0.5
    while time.monotonic() < ends:
        await source.next_batch({}, outbound_calls)
        turns += 1
    assert turns < 10
    await source.reset()


async def test_what_nobody_waits_for_is_kept_up_to_a_size() -> None:
    """Large events are handled before they fill the memory."""
    bench = Bench()
    arriving, _, next_batch = await paced(bench, 30.0)
    began = time.monotonic()
    for n in range(100):
        one = stretch(bench, n, n + 1)
        large = [replace(record, value=(record.value or b"") + b" " * 1_000_000) for record in one.records]
        arriving.queue.put_nowait(replace(one, records=large))
    while not (found := await next_batch()):
        assert time.monotonic() - began < 5
    assert len(found) < 20


class Learning(Masking):
    """Notes what it is asked to get ready for."""

    def __init__(self) -> None:
        self.learned: list[int] = []

    async def learn(self, fetch: Fetch, data: Iterable[bytes]) -> None:
        """Note how many events are to be read."""
        self.learned.append(len(list(data)))


async def test_the_keys_of_a_batch_are_got_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of records and parked events together: else the second part's could crowd out the first's before the commit."""
    bench, privacy = Bench(), Learning()
    read = stretch(bench, 5, 8)
    sent = message(bench.config, Put(thing="p"))
    parked = ParkedRow(1, read.partition, 1, "p", "PUT", sent.headers, sent.value, 1)

    async def due(*_: Any) -> Due:
        return Due([parked], [], 0.0)

    monkeypatch.setattr(bench.store, "due", due)
    source = BatchSource(Fetched(read), bench.store, {read.partition.topic: Put}, privacy=privacy)  # type: ignore[arg-type]  # only fetch is asked
    batch = await source.next_batch({read.partition: Lease(1, Position(5, ID))}, bench.instance().outbound_calls)
    assert (len(batch.items), privacy.learned) == (4, [4])
