"""Hands a batch's events to the service's recipient, a program that is not ours, before the batch's transaction.

What came of each event stands on its item, and enters the transaction with it: replies, a failed attempt, a death. So
a reply is published once, while the handing over itself is at least once: whoever dies before the commit leaves its
events to be handed over again. Events of a key go one after the other, and none overtakes a parked one of its key.

An event that takes long holds up others for a second: then it is put aside, which is no failed attempt, while it goes
on, and what comes of it enters a later batch. While more is under way than half of what may be, nothing more is taken.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from orderflow_contracts.event import Event, UndecodableError
from orderflow_runtime.core.event_log import Partition
from orderflow_runtime.core.store import Store
from orderflow_runtime.core.work_item import Identity, WorkItem
from orderflow_runtime.dispatch.retry import RetryPolicy
from orderflow_runtime.redaction import redacted_reason
from orderflow_runtime.service import Handed, NotTakenError, Recipient, Verdict
from orderflow_runtime.tracing.trace_context import Trace

PATIENCE_SECONDS = 1.0
_LOOK_SECONDS = 0.1
_NO_TRACE: Mapping[str, str] = MappingProxyType({})
Observe = Callable[[str, bool, float], None]
"""Told of each handing over: its kind, whether it was answered, and the seconds it took."""
Place = tuple[Partition, int | None]
Outcome = Sequence[Event] | NotTakenError
UNDER_WAY = NotTakenError("it is being handed over", Verdict.WAIT)


class Handovers:
    """What one worker hands over: the requests under way, and what is known of events that were put aside."""

    def __init__(self, recipient: Recipient, store: Store, retry: RetryPolicy, observe: Observe) -> None:
        self._recipient = recipient
        self._store = store
        self._retry = retry
        self._observe = observe
        self._requests = asyncio.Semaphore(recipient.at_once)
        self._few = max(1, recipient.at_once * recipient.together // 2)
        self._lanes: set[asyncio.Task[None]] = set()
        self._unknown: set[Place] = set()
        self._known: dict[Place, Outcome] = {}

    @property
    def obstacle(self) -> str:
        """Return why nothing can be handed over now, in words; nothing when it can."""
        return self._recipient.obstacle

    async def start(self) -> None:
        """Wait for the recipient."""
        await self._recipient.start()

    async def settle(self, items: Iterable[WorkItem]) -> None:
        """Hand the events among the items over, and note on each what came of it; raise `Retryable` as the store does.

        An event of which nothing is known yet is left to be put aside.
        """
        events = [item for item in items if item.offset is not None and not _is_unreadable(item)]
        if not events:
            return
        await self._wait(self._begin(await self._ready(events)))
        for item in events:
            outcome = self._known.pop(_place(item), UNDER_WAY)
            if isinstance(outcome, NotTakenError):
                item.not_taken = outcome
            else:
                item.payload = replace(item.payload, replies=outcome)

    async def drop(self) -> None:
        """Stop all that is under way: whoever has the leases hands it over again."""
        lanes, self._lanes = self._lanes, set()
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)
        self._unknown.clear()
        self._known.clear()

    async def _ready(self, events: Sequence[WorkItem]) -> list[WorkItem]:
        """Leave out what was taken in before, what waits behind a parked event, and what is under way or known."""
        fresh = [item for item in events if item.parked_id is None]
        rows = [item.inbox for item in fresh if item.inbox is not None]
        redrives = [item.redrive_of for item in fresh if item.redrive_of is not None]
        seen = await self._store.seen(rows, {item.key for item in fresh}, redrives)
        taken: set[Identity] = set(seen.identities)
        ready = []
        for item in events:
            if item.parked_id is None and (item.key in seen.blocked_keys or _is_repeat(item, taken, seen.letters)):
                continue
            if _place(item) not in self._unknown and _place(item) not in self._known:
                ready.append(item)
        return ready

    def _begin(self, items: Sequence[WorkItem]) -> list[asyncio.Task[None]]:
        begun = [asyncio.create_task(self._run(lane)) for lane in self._divided(items)]
        self._unknown.update(map(_place, items))
        self._lanes.update(begun)
        for lane in begun:
            lane.add_done_callback(self._lanes.discard)
        return begun

    def _divided(self, items: Sequence[WorkItem]) -> Iterable[list[WorkItem]]:
        """Divide items by their keys into lanes that go beside each other, full requests where events go together."""
        together, lanes = self._recipient.together, dict[object, list[WorkItem]]()
        count = min(self._recipient.at_once, -(-len(items) // together))
        for item in items:
            lanes.setdefault(item.key if together == 1 else hash(item.key) % count, []).append(item)
        return lanes.values()

    async def _wait(self, begun: Sequence[asyncio.Task[None]]) -> None:
        if begun:
            await asyncio.wait(begun, timeout=PATIENCE_SECONDS)
        while len(self._unknown) > self._few and self._lanes:
            await asyncio.wait(self._lanes, timeout=_LOOK_SECONDS)

    async def _run(self, lane: Sequence[WorkItem]) -> None:
        """Hand a lane over, in order; what stands behind a failed event of its key waits with it."""
        blocked: set[str] = set()
        try:
            for start in range(0, len(lane), self._recipient.together):
                await self._hand(lane[start : start + self._recipient.together], blocked)
        finally:
            self._unknown.difference_update(map(_place, lane))

    async def _hand(self, items: Sequence[WorkItem], blocked: set[str]) -> None:
        """Hand items over together; of some that are refused together the one at fault is looked for by halves."""
        if not (items := [item for item in items if item.key not in blocked]):
            return
        outcome = await self._ask(items)
        if not isinstance(outcome, NotTakenError):
            self._known |= {_place(item): replies for item, replies in _shared_out(items, outcome)}
        elif len(items) > 1 and outcome.verdict in (Verdict.REFUSE, Verdict.DROP):
            middle = len(items) // 2
            for half in (items[:middle], items[middle:]):
                await self._hand(half, blocked)
        else:
            for item in items:
                if item.key not in blocked:
                    self._known[_place(item)] = outcome
                    blocked.update(self._waits(item, outcome))

    def _waits(self, item: WorkItem, outcome: NotTakenError) -> Iterator[str]:
        """Yield the item's key where it is parked, and not given up."""
        if outcome.verdict is Verdict.RETRY and not self._retry.exhausted(item.attempts + 1):
            yield item.key

    async def _ask(self, items: Sequence[WorkItem]) -> Outcome:
        handed = [Handed(item.payload, item.type, _trace(item.trace), item.attempts) for item in items]
        async with self._requests:
            started = time.monotonic()
            try:
                outcome: Outcome = await self._recipient.hand(handed)
            except NotTakenError as error:
                outcome = error
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # an author's code: whatever it raises is these events' own failure
                outcome = NotTakenError(redacted_reason(error))
        self._observe(self._recipient.kind, not isinstance(outcome, NotTakenError), time.monotonic() - started)
        return outcome


def _is_unreadable(item: WorkItem) -> bool:
    return isinstance(item.payload, UndecodableError)


def _place(item: WorkItem) -> Place:
    return item.shard, item.offset


def _is_repeat(item: WorkItem, taken: set[Identity], letters: Iterable[object]) -> bool:
    """Return whether a fresh event was taken in before, or earlier in this batch, or dead by another service's hand."""
    if item.redrive_of is not None:
        return item.redrive_of not in letters
    assert item.inbox is not None  # noqa: S101 - fresh events have one
    if item.inbox.identity in taken:
        return True
    taken.add(item.inbox.identity)
    return False


def _shared_out(items: Sequence[WorkItem], replies: Sequence[Event]) -> Iterator[tuple[WorkItem, list[Event]]]:
    """Yield each item with its replies: those of its key, the first one those of no other's."""
    owners = {item.key: item for item in reversed(items)}
    shares: dict[int, list[Event]] = {id(item): [] for item in items}
    for reply in replies:
        shares[id(owners.get(reply.key, items[0]))].append(reply)
    yield from ((item, shares[id(item)]) for item in items)


def _trace(trace: Trace) -> Mapping[str, str]:
    if trace.parent is None:
        return _NO_TRACE
    return {"traceparent": trace.parent, **({"tracestate": trace.state} if trace.state else {})}
