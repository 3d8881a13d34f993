"""One batch, one transaction: the heart of the runtime.

A batch first runs as if all went well: all of it is claimed without waiting for the answer, and one handler is called
for all events of a type. If any of it is not ours or not new, or a handler fails, the batch rolls back and runs again
with care: what is ours and new is asked for, and handlers run under savepoints, halving until the culprit stands alone.
The culprit is parked by its key, or goes to the dead letters after its last retry; everything else commits.
"""

import logging
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from orderflow_contracts.dead_letters import TIMER
from orderflow_contracts.event import Event
from orderflow_runtime.core.event_log import Partition, Position
from orderflow_runtime.core.retryable import Retryable
from orderflow_runtime.core.store import (
    BatchClaim,
    BatchTransaction,
    BatchWrites,
    CallRow,
    DeadLetter,
    Lease,
    OutboxRow,
    Park,
    Store,
)
from orderflow_runtime.core.work_item import Identity, Poison, WorkItem
from orderflow_runtime.dispatch.effects import Effects
from orderflow_runtime.dispatch.execution import BatchExecution, HandlerPolicy
from orderflow_runtime.dispatch.journal import journal_rows

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Batch:
    """What is handled together. `offsets` say where to go on in the partitions that were read."""

    items: list[WorkItem] = field(default_factory=list)
    poison: list[Poison] = field(default_factory=list)
    offsets: dict[Partition, Position] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    """kinds of metadata that was left aside"""

    def __bool__(self) -> bool:
        return bool(self.items or self.offsets)

    def shards(self) -> list[Partition]:
        """Return the partitions whose leases the batch needs, in order."""
        return sorted({item.shard for item in self.items} | self.offsets.keys())


@dataclass(frozen=True, slots=True)
class Committed:
    """What a batch did, for the worker to go on from and for the metrics."""

    outbox: Sequence[OutboxRow]
    calls: Sequence[CallRow]
    timers: Sequence[timedelta]
    handled: Sequence[WorkItem]
    published: Sequence[Event]
    parked: Sequence[Park]
    unparked: Sequence[int]
    dead: Sequence[DeadLetter]
    dropped: Sequence[WorkItem] = ()


class Dispatcher:
    """Runs the batches of one service. It knows nothing of Kafka, and of Postgres only the store."""

    def __init__(self, policy: HandlerPolicy, store: Store) -> None:
        self._policy = policy
        self._store = store

    async def handle(self, batch: Batch, leases: Mapping[Partition, Lease], published: Sequence[int]) -> Committed:
        """Handle a batch to its commit; raise `Retryable` with nothing done."""
        claim = BatchClaim(
            leases={p: (leases[p].epoch, batch.offsets.get(p, leases[p].next)) for p in batch.shards()},
            published=published,
            inbox=[item.inbox for item in batch.items if item.inbox is not None and item.redrive_of is None],
            keys={item.key for item in batch.items if item.offset is not None},
        )
        careful = any(item.parked_id is not None or item.redrive_of is not None for item in batch.items)
        try:
            return await self._transact(batch, claim, careful)
        except Retryable:
            raise
        except Exception as error:
            if careful:
                raise
            logger.info("a batch of %d failed (%s); running it with care", len(batch.items), type(error).__name__)
            return await self._transact(batch, claim, careful=True)

    async def _transact(self, batch: Batch, claim: BatchClaim, careful: bool) -> Committed:
        first = next(iter(claim.leases))
        async with self._store.transaction() as tx:
            if careful:
                result = await tx.open(claim)
                items, blocked = await _claim(tx, batch.items, result.new_ids), result.blocked_keys
            else:
                await tx.expect(claim, _timers(batch.items), _calls(batch.items))
                items, blocked = batch.items, frozenset()
            if self._policy.privacy is not None:
                await self._policy.privacy.hold(tx.fetch, [item.value for item in batch.items])
            execution = BatchExecution(self._policy, tx, Effects(tx, lambda _: first))
            await execution.run(items, blocked, careful)
            execution.dead_letter_poison(await _claim_poison(tx, batch.poison))
            writes = _writes(execution)
            outbox = await tx.close(writes)
        return Committed(
            outbox,
            writes.calls,
            [timer.after for timer in writes.timers],
            execution.handled,
            execution.published,
            execution.parked,
            execution.unparked,
            execution.dead,
            execution.dropped,
        )


def _writes(execution: BatchExecution) -> BatchWrites:
    writes = execution.effects.writes()
    writes.park = execution.parked
    writes.unpark = execution.unparked
    writes.dead = execution.dead
    writes.journal = list(journal_rows(execution))
    return writes


async def _claim(tx: BatchTransaction, items: Sequence[WorkItem], new_ids: Collection[Identity]) -> list[WorkItem]:
    """Keep what is ours to do: new events, timers still set, outcomes not handled yet, redrives not yet taken."""
    new = [item for item in items if item.parked_id is None]
    redrives = [item for item in new if item.redrive_of]
    timers, calls = _timers(new), _calls(new)
    taken, returned = await _claim_redrives(tx, redrives)
    new_ids = {*new_ids, *returned}
    fired = await tx.claim_timers(timers) if timers else frozenset()
    known = await tx.claim_calls(calls) if calls else frozenset()
    seen: set[Identity] = set()
    kept = []
    for item in items:
        if item.parked_id is not None:
            ours = True
        elif item.inbox is not None:
            ours = _is_new(item, new_ids, seen, taken)
        else:
            ours = item.call_id in known if item.call_id else (item.key, item.payload.name) in fired
        if ours:
            kept.append(item)
    return kept


def _timers(items: Sequence[WorkItem]) -> list[tuple[str, str]]:
    return [(item.key, item.payload.name) for item in items if item.type.startswith(TIMER)]


def _calls(items: Sequence[WorkItem]) -> list[str]:
    return [item.call_id for item in items if item.call_id]


async def _claim_redrives(
    tx: BatchTransaction, items: Sequence[WorkItem]
) -> tuple[dict[uuid.UUID, str | None], frozenset[Identity]]:
    """Return the letters taken back, with their events' ids, and which of the events are new.

    Redrives of other services' letters leave the inbox alone: the same event may still come by our own letter's.
    """
    taken = dict(await tx.claim_redrives([item.redrive_of for item in items if item.redrive_of])) if items else {}
    inbox = [item.inbox for item in items if item.inbox is not None and item.redrive_of in taken]
    return taken, await tx.take_in(inbox) if inbox else frozenset()


def _is_new(
    item: WorkItem,
    new_ids: Collection[Identity],
    seen: set[Identity],
    taken: dict[uuid.UUID, str | None],
) -> bool:
    """Return whether an event is to be handled. A redriven one counts once per death.

    It may be in the inbox already, if it was this very event that died.
    """
    assert item.inbox is not None  # noqa: S101 - only events come here
    if item.redrive_of is not None and item.redrive_of not in taken:
        return False
    new = item.inbox.identity in new_ids and item.inbox.identity not in seen
    seen.add(item.inbox.identity)
    return new if item.redrive_of is None else taken.pop(item.redrive_of) == item.event_id or new


async def _claim_poison(tx: BatchTransaction, poison: Sequence[Poison]) -> list[Poison]:
    """Leave out redriven records of other services, which are not our dead letters, and repeats of our own."""
    redrives = [broken.redrive_of for broken in poison if broken.redrive_of]
    taken = set(await tx.claim_redrives(redrives)) if redrives else set()
    kept = []
    for broken in poison:
        if broken.redrive_of is None or broken.redrive_of in taken:
            kept.append(broken)
            taken.discard(broken.redrive_of)
    return kept
