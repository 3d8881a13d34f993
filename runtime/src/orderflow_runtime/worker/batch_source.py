"""Makes a batch for the worker: records, call outcomes, and what the database says is due."""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from orderflow_contracts.event import Event, UndecodableError
from orderflow_runtime.backoff import Backoff
from orderflow_runtime.core.event_log import Consumer, Partition, Position, Record, Stretch
from orderflow_runtime.core.store import Due, Lease, ParkedRow, Store
from orderflow_runtime.core.work_item import Poison, WorkItem, as_it_is, decode_parked, read_item, timer_item
from orderflow_runtime.dispatch.dispatcher import Batch
from orderflow_runtime.dispatch.masking import Masking
from orderflow_runtime.dispatch.outbound_calls import OutboundCalls

MOST_AT_ONCE = 500
MOST_CALLS = 1_000
"""With so many calls under way no more records are taken: the outside is slower than we are."""
_MOST_KEPT_BYTES = 8 * 1024 * 1024
"""With so much kept for later it is handled now."""
_EVER = float("inf")
_POLL_SECONDS, _RESTING_SECONDS = 1.0, 5.0
"""From one look at what is due to the next, at least and at most: others may have set timers, or sent back events."""
_STANDBY_SECONDS = 0.1
"""Without a lease nothing can be due; it is looked for partitions to take leases of."""


class BatchSource:
    """Waits for the first thing to do and takes what else is there. `events` tells what each topic carries.

    Batches begin at least `pace` seconds apart: when events come closer than that, a batch holds several, and when
    nothing came for so long, the next event is taken at once. `within` names topics that nobody waits for: what they
    carry waits for so many seconds, or until an event comes that is waited for. Outcomes of calls take nothing along:
    they may follow from just such events. `privacy` says what the service sees of people, where the flow seals that.
    """

    def __init__(
        self,
        consumer: Consumer,
        store: Store,
        events: Mapping[str, type[Event]],
        pace: float = 0,
        within: Mapping[str, float] = MappingProxyType({}),
        privacy: Masking | None = None,
    ) -> None:
        self._consumer = consumer
        self._store = store
        self._events = events
        self._pace = pace
        self._within = within
        self._privacy = privacy
        self._reveal = privacy.reveal if privacy else as_it_is
        self._not_before = 0.0
        self._kept: list[Stretch] = []
        self._kept_until = _EVER
        self._by_type = {event.TYPE: event for event in events.values()}
        self._woken = asyncio.Event()
        self._fetching: asyncio.Task[Sequence[Stretch]] | None = None
        self._check_at = 0.0
        self._rest = Backoff(_POLL_SECONDS, _RESTING_SECONDS)

    def wake(self) -> None:
        """Stop waiting: an outcome is known, or the worker has to stop."""
        self._woken.set()

    def poll_due_in(self, seconds: float) -> None:
        """Ask the database what is due in so many seconds, or sooner."""
        self._check_at = min(self._check_at, time.monotonic() + seconds)

    async def next_batch(self, leases: Mapping[Partition, Lease], outbound_calls: OutboundCalls) -> Batch:
        """Return the next batch; empty when nothing came for a while."""
        if (wait := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        if not leases:
            self._check_at = time.monotonic() + _STANDBY_SECONDS
        batch = Batch()
        await self._gather(outbound_calls.waiting < MOST_CALLS)
        batch.items += outbound_calls.take(MOST_AT_ONCE)
        due = None
        if leases and time.monotonic() >= self._check_at:
            due = await self._store.due(leases.keys(), MOST_AT_ONCE)
        is_ripe = self._is_ripe()
        await self._learn(due, is_ripe)
        if due is not None:
            self._add_due(due, batch)
        if is_ripe:
            self._read(leases, batch)
        self._not_before = time.monotonic() + self._pace
        if batch:
            self._rest.reset()
        return batch

    async def _learn(self, due: Due | None, is_ripe: bool) -> None:
        """Get the keys of the whole batch at once: of what is asked for alone, another part's might be forgotten."""
        if self._privacy is None:
            return
        data = [row.value for row in due.parked] if due is not None else []
        if is_ripe:
            data += [record.value or b"" for stretch in self._kept for record in stretch.records]
        await self._privacy.learn(self._store.read, data)

    async def reset(self) -> None:
        """Drop what was fetched and not yet taken."""
        fetching, self._fetching = self._fetching, None
        self._check_at = 0.0
        self._kept, self._kept_until = [], _EVER
        if fetching is not None:
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)

    async def _gather(self, wanted: bool) -> None:
        """Wait until something came that is to be handled now, or it is time to look elsewhere."""
        waiting = True
        while waiting and not self._is_ripe():
            stretches = await self._stretches(wanted)
            waiting = bool(stretches) and not self._woken.is_set()
            self._woken.clear()
            self._keep(stretches)

    def _keep(self, stretches: Collection[Stretch]) -> None:
        self._kept += stretches
        waits = [self._within.get(stretch.partition.topic, 0.0) for stretch in stretches]
        if any(waits) and self._is_full():
            waits = [0.0]
        self._kept_until = min([self._kept_until, *(time.monotonic() + wait for wait in waits)])

    def _is_full(self) -> bool:
        sizes = [len(record.value or b"") for stretch in self._kept for record in stretch.records]
        return len(sizes) >= MOST_AT_ONCE or sum(sizes) >= _MOST_KEPT_BYTES

    def _is_ripe(self) -> bool:
        return time.monotonic() >= self._kept_until

    async def _stretches(self, wanted: bool) -> Collection[Stretch]:
        if self._fetching is None and wanted:
            self._fetching = asyncio.create_task(self._consumer.fetch(MOST_AT_ONCE, _POLL_SECONDS))
        woken = asyncio.create_task(self._woken.wait())
        waiting: set[asyncio.Task[object]] = {woken}
        if self._fetching is not None:
            waiting.add(self._fetching)
        timeout = min(_POLL_SECONDS, max(0.0, min(self._check_at, self._kept_until) - time.monotonic()))
        await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        woken.cancel()
        if self._fetching is None or not self._fetching.done():
            return ()
        fetching, self._fetching = self._fetching, None
        return fetching.result()

    def _read(self, leases: Mapping[Partition, Lease], batch: Batch) -> None:
        """Decode what goes on where leased partitions stand; the rest was fetched too early or too late."""
        stretches, self._kept, self._kept_until = self._kept, [], _EVER
        for stretch in stretches:
            lease = leases.get(stretch.partition)
            if lease is None:
                continue
            at = batch.offsets.get(stretch.partition, lease.next)
            if not _goes_on(stretch, at):
                continue
            batch.offsets[stretch.partition] = stretch.end
            for record in stretch.records:
                if record.offset >= at.offset:
                    self._decode(record, batch)

    def _decode(self, record: Record, batch: Batch) -> None:
        found = read_item(record, self._events[record.partition.topic], self._reveal)
        batch.ignored += found.ignored
        if isinstance(found, Poison):
            batch.poison.append(found)
        else:
            batch.items.append(found)

    def _add_due(self, due: Due, batch: Batch) -> None:
        batch.items += [self._parked_item(row) for row in due.parked]
        batch.items += [timer_item(row.shard, row.name, row.key, row.payload, row.trace) for row in due.timers]
        rest = self._rest.next_wait()
        self._check_at = time.monotonic() + (rest if due.next_in is None else min(rest, max(0.0, due.next_in)))

    def _parked_item(self, row: ParkedRow) -> WorkItem:
        item = WorkItem(row.shard, row.key, row.type, row.headers, row.value, None, row.offset)
        item.parked_id, item.attempts = row.id, row.attempts
        try:
            decode_parked(item, self._by_type.get(row.type), self._reveal)
        except UndecodableError as error:
            item.payload = error
        return item


def _goes_on(stretch: Stretch, at: Position) -> bool:
    """Return whether nothing lies between a position and the stretch, in the same log."""
    begin = stretch.begin
    return begin.topic_id == at.topic_id and begin.offset <= at.offset < stretch.end.offset
