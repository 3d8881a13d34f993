"""The dispatcher's loop: acquire leases, take the next batch, handle it, publish what it owes.

Whatever goes wrong with a lease or with Postgres ends the same way: forget everything in memory, take the leases of
the assigned partitions anew, publish what the outbox still holds, and read on from the stored offsets.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from orderflow_runtime.backoff import Backoff
from orderflow_runtime.core.event_log import PATIENCE_SECONDS, Consumer, LogRefuses, LogUnavailable, Partition
from orderflow_runtime.core.retryable import Retryable
from orderflow_runtime.core.store import CallRow, Conflict, Lease, Store, StoreRefuses, StoreUnavailable
from orderflow_runtime.dispatch.dispatcher import Batch, Committed, Dispatcher
from orderflow_runtime.dispatch.handovers import Handovers
from orderflow_runtime.dispatch.outbound_calls import OutboundCalls
from orderflow_runtime.dispatch.outbox import Outbox
from orderflow_runtime.dispatch.publications import Publications
from orderflow_runtime.observability.batch_log import log_batch
from orderflow_runtime.observability.metrics import Metrics
from orderflow_runtime.worker.batch_source import MOST_CALLS, BatchSource

logger = logging.getLogger(__name__)

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.05, 2.0
_REPORT_EVERY_SECONDS, _REPORT_ALL_SECONDS = 1.0, 60.0
_ADOPT_EVERY_SECONDS = 30.0
_LOOK_FOR_CALLS_SECONDS = 1.0
_STOP_SECONDS, _FLUSH_SECONDS = 5.0, 5.0
"""For the batch under way and for what is to be published; together less than the grace of a pod (30 s)."""
_CONFLICTS = 20


@dataclass(frozen=True)
class Parts:
    """What a worker works with."""

    consumer: Consumer
    store: Store
    dispatcher: Dispatcher
    source: BatchSource
    outbound_calls: OutboundCalls
    publications: Publications
    metrics: Metrics
    instance: str
    topics: tuple[str, ...]
    """what the service subscribes to, its first topic first"""
    handovers: Handovers | None = None
    """what is handed to the service's recipient, if it has one"""
    calls_by_commands: bool = False
    """whether commands may ask for calls, and so another instance for one that is ours to perform"""


class Worker:
    """One instance of a service: its leases, and all that is under way for them."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._outbox = Outbox(parts.publications)
        self._leases: dict[Partition, Lease] = {}
        self._busy = asyncio.Lock()
        self._adopted: set[Partition] = set()
        self._adopt_at = 0.0
        self._look_for_calls_at = 0.0
        self._started = False
        self._reporting: asyncio.Task[None] | None = None
        self._reported: dict[Partition, int] = {}
        self._report_all_at = 0.0
        self._handling_since: float | None = None
        self._trouble = ""
        self._refused_since: float | None = None

    @property
    def ready(self) -> bool:
        """Whether it works, be it in part: each assigned partition is leased, some of its topics are read."""
        return not self.obstacle

    @property
    def refused(self) -> Mapping[str, int]:
        """Return how many messages wait because Kafka refuses their topic."""
        return self._outbox.waiting

    @property
    def unread(self) -> Mapping[str, str]:
        """Return the topics that cannot be read, and why."""
        return self._parts.consumer.unread()

    @property
    def hindrance(self) -> str:
        """Return what it cannot do of its work now, in words: topics that are refused, while others go on."""
        return "; ".join(filter(None, (*self.unread.values(), self._outbox.hindrance)))

    @property
    def obstacle(self) -> str:
        """Return why it cannot work at all now, in words; nothing when it can."""
        consumer = self._parts.consumer
        if self._trouble:
            return self._trouble
        if self._parts.handovers is not None and (obstacle := self._parts.handovers.obstacle):
            return obstacle
        if not consumer.joined():
            return "Kafka has not given this instance its partitions yet"
        missing = len(consumer.assigned() - self._leases.keys())
        if missing:
            return f"the leases of {missing} partitions are not taken yet"
        if (unread := self.unread) and set(self._parts.topics) <= unread.keys():
            return "; ".join(unread.values())
        return self._outbox.obstacle

    @property
    def stalled_for(self) -> float:
        """For how many seconds one batch has been in its transaction. Waiting for Kafka or Postgres is no stall."""
        return 0.0 if self._handling_since is None else time.monotonic() - self._handling_since

    def owned(self) -> Collection[Partition]:
        """Return the partitions whose leases are ours."""
        return list(self._leases)

    def lag(self) -> Mapping[Partition, int]:
        """Return how many records each of our partitions holds that are not handled, as far as is known."""
        ends = self._parts.consumer.ends()
        return {p: max(0, ends[p] - lease.next.offset) for p, lease in self._leases.items() if p in ends}

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping`; then finish the batch, publish, and give the leases back.

        Raise `LogRefuses` or `StoreRefuses` when the service has not been let in for `PATIENCE_SECONDS`.
        """
        self._outbox.start()
        working = asyncio.create_task(self._work(stopping))
        told = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({working}, timeout=_STOP_SECONDS)
        finally:
            told.cancel()
            if not working.done():
                logger.warning("stopping in the middle: what is committed, the next owner publishes")
                working.cancel()
        await _ended(working)
        await self.on_revoked(self._leases.copy().keys())
        await self._outbox.stop()
        await self._parts.source.reset()
        if self._reporting is not None:
            self._reporting.cancel()

    async def _work(self, stopping: asyncio.Event) -> None:
        backoff = Backoff(_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS)
        while not stopping.is_set():
            try:
                await self._step()
                self._trouble, self._refused_since = "", None
                backoff.reset()
            except Retryable as error:
                wait = backoff.next_wait()
                logger.warning("taking everything anew in %.2f s: %s: %s", wait, type(error).__name__, error)
                self._trouble = str(error)
                self._parts.metrics.recoveries.labels(type(error).__name__).inc()
                await self._reset()
                if isinstance(error, LogUnavailable):
                    await self._leave()
                self._bear(error)
                await asyncio.sleep(wait)

    def _bear(self, error: Exception) -> None:
        """Raise an error by which we are not let in once it has lasted."""
        if not isinstance(error, LogRefuses | StoreRefuses):
            self._refused_since = None
            return
        self._refused_since = self._refused_since or time.monotonic()
        if time.monotonic() - self._refused_since > PATIENCE_SECONDS:
            raise error

    async def on_revoked(self, lost: Collection[Partition]) -> None:
        """Let go of partitions, between two batches: publish what they owe and free their leases."""
        async with self._busy:
            leases = {p: self._leases.pop(p) for p in [*lost, *self._adopted] if p in self._leases}
            self._adopted.clear()
            self._parts.metrics.hold(len(self._leases), lost=len(leases))
            logger.info("gave back %d partitions", len(leases))
            await self._parts.outbound_calls.drop(leases.keys())
            await self._drop_handovers()
            await self._outbox.flush(_FLUSH_SECONDS)
            published = self._outbox.take_published()
            try:
                await self._parts.store.release(leases, published)
            except Retryable as error:
                logger.warning("leases are not marked as free: %s", error)
            if self._outbox.held:
                # what waits may be a lost partition's: whoever has it publishes it, and we read anew what is ours
                await self._let_go()

    async def _step(self) -> None:
        if not self._started:
            if self._parts.handovers is not None:
                await self._parts.handovers.start()
            await self._parts.consumer.start(self.on_revoked)
            self._started = True
        await self._acquire_leases()
        await self._look_for_calls()
        batch = await self._parts.source.next_batch(self._leases, self._parts.outbound_calls)
        if self._parts.handovers is not None:
            await self._parts.handovers.settle(batch.items)
        async with self._busy:
            self._leave_out_lost(batch)
            if batch:
                await self._handle(batch)
            else:
                await self._delete_published()
        if self._reporting is None or self._reporting.done():
            self._reporting = asyncio.create_task(self._report())

    async def _acquire_leases(self) -> None:
        """Take the leases of new partitions; publish what former owners left before anything new."""
        if wanted := self._parts.consumer.assigned() - self._leases.keys():
            await self._take(wanted)
        if time.monotonic() >= self._adopt_at:
            self._adopt_at = time.monotonic() + _ADOPT_EVERY_SECONDS
            if orphans := await self._orphans():
                logger.warning("taking %d partitions of topics that are not subscribed any more", len(orphans))
                await self._take(orphans)
                self._adopted |= orphans

    def begin_calls(self, calls: Iterable[CallRow], *, ask_first: bool = False) -> None:
        """Perform calls that commands asked for, those of our partitions; another's owner looks for its own."""
        self._parts.outbound_calls.begin((call for call in calls if call.shard in self._leases), ask_first=ask_first)

    async def _look_for_calls(self) -> None:
        """Perform what commands of other instances asked for, and what was committed while a lease was taken."""
        parts = self._parts
        if not parts.calls_by_commands or time.monotonic() < self._look_for_calls_at:
            return
        self._look_for_calls_at = time.monotonic() + _LOOK_FOR_CALLS_SECONDS
        if self._leases and parts.outbound_calls.waiting < MOST_CALLS:
            self.begin_calls(await parts.store.pending_calls(self._leases.keys()), ask_first=True)

    async def _take(self, wanted: Collection[Partition]) -> None:
        parts = self._parts
        async with self._busy:
            leases = await parts.store.acquire(wanted, parts.instance)
            published: list[int] = []
            while rows := await parts.store.backlog(wanted, False, published, self._outbox.held):
                await self._outbox.publish(rows)
                published = self._outbox.take_published()
            calls = await parts.store.pending_calls(wanted)
            self._leases |= leases
            parts.outbound_calls.begin(calls, ask_first=True)
            await self._resume(leases)
            parts.source.poll_due_in(0)
            parts.metrics.hold(len(self._leases), taken=len(leases))
            logger.info("took %d partitions, %d calls to ask for", len(leases), len(calls))

    async def _resume(self, leases: Mapping[Partition, Lease]) -> None:
        """Read on; where that is elsewhere than what is stored, or in a log not known by its id yet, store it first."""
        positions = await self._parts.consumer.resume({partition: lease.next for partition, lease in leases.items()})
        moved = {p: position for p, position in positions.items() if position != leases[p].next}
        if moved:
            await self._until_no_conflict(Batch(offsets=moved), [])
        for partition, position in moved.items():
            leases[partition].next = position

    async def _orphans(self) -> set[Partition]:
        """Return what was left on topics that are not read any more, where the like-numbered partition is ours."""
        neglected = await self._parts.store.neglected(self._parts.topics) - self._leases.keys()
        if not neglected:
            return set()
        first = self._parts.topics[0]
        count = await self._parts.consumer.partitions_of(first)
        return {orphan for orphan in neglected if Partition(first, orphan.number % count) in self._leases}

    def _leave_out_lost(self, batch: Batch) -> None:
        """Leave out partitions that went while the batch was gathered; their new owner does their part."""
        batch.items = [item for item in batch.items if item.shard in self._leases]
        batch.poison = [broken for broken in batch.poison if broken.record.partition in self._leases]
        batch.offsets = {p: offset for p, offset in batch.offsets.items() if p in self._leases}

    async def _handle(self, batch: Batch) -> None:
        self._handling_since = started = time.monotonic()
        published = self._outbox.take_published()
        try:
            committed = await self._until_no_conflict(batch, published)
        except BaseException:
            self._outbox.put_back(published)
            raise
        finally:
            self._handling_since = None
        for partition, position in batch.offsets.items():
            self._leases[partition].next = position
        self._parts.metrics.count(committed, len(batch.items), time.monotonic() - started)
        self._parts.metrics.ignore(batch.ignored)
        log_batch(committed)
        await self._publish_effects(committed)

    async def _until_no_conflict(self, batch: Batch, published: list[int]) -> Committed:
        for turn in range(_CONFLICTS):
            try:
                return await self._parts.dispatcher.handle(batch, self._leases, published)
            except Conflict as error:
                logger.info("the batch runs again: %s", error)
                await asyncio.sleep(0.005 * turn)
        raise StoreUnavailable(f"{_CONFLICTS} conflicts in a row")

    async def _publish_effects(self, committed: Committed) -> None:
        await self._outbox.put(committed.outbox)
        self._parts.outbound_calls.begin(committed.calls)
        self._parts.metrics.calls_waiting.set(self._parts.outbound_calls.waiting)
        if waits := [*committed.timers, *(park.delay for park in committed.parked)]:
            self._parts.source.poll_due_in(min(waits).total_seconds())
        if committed.unparked:
            self._parts.source.poll_due_in(0)

    async def _delete_published(self) -> None:
        """Delete what is published, as there is nothing else to do."""
        if published := self._outbox.take_published():
            await self._parts.store.release({}, published)

    async def _report(self) -> None:
        """Tell lag tools how far we are; beside the loop, since a coordinator may take its time.

        What did not move is told again now and then: a report may have been lost, and at rest each costs Kafka a write.
        """
        if time.monotonic() >= self._report_all_at:
            self._report_all_at = time.monotonic() + _REPORT_ALL_SECONDS
            self._reported.clear()
        offsets = {partition: lease.next.offset for partition, lease in self._leases.items()}
        if moved := {p: offset for p, offset in offsets.items() if self._reported.get(p) != offset}:
            await self._parts.consumer.report(moved)
            self._reported |= moved
        await asyncio.sleep(_REPORT_EVERY_SECONDS)

    async def _leave(self) -> None:
        """Join anew: what the consumer could not mend by itself needs a new one."""
        self._started = False
        await self._parts.consumer.stop()

    async def _reset(self) -> None:
        async with self._busy:
            await self._let_go()

    async def _let_go(self) -> None:
        self._parts.metrics.hold(0, lost=len(self._leases))
        self._leases.clear()
        self._reported.clear()
        self._adopted.clear()
        await self._parts.outbound_calls.drop()
        await self._drop_handovers()
        await self._parts.source.reset()
        await self._outbox.reset()

    async def _drop_handovers(self) -> None:
        if self._parts.handovers is not None:
            await self._parts.handovers.drop()


async def _ended(working: "asyncio.Task[None]") -> None:
    """Wait for a task that has ended or that we cancelled; raise what it failed with."""
    await asyncio.wait({working})
    if not (working.cancelled() and working.cancelling()):
        working.result()
