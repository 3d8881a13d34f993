"""The store as the worker sees it: leases, and one transaction per batch.
`postgres_store.py` is real; tests wrap it."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple, Protocol

from orderflow_contracts.envelope import Header
from orderflow_runtime.core.event_log import Partition, Position
from orderflow_runtime.core.retryable import Retryable
from orderflow_runtime.core.work_item import Identity, InboxRow, WorkItem
from orderflow_runtime.tracing.trace_context import NONE, Trace


class StoreUnavailable(Retryable):
    """Postgres does not answer; whether a commit under way happened is not known.

    Example:
        >>> Faults().add("committed", StoreUnavailable("the connection was lost"))
    """


class StoreRefuses(StoreUnavailable):
    """Postgres does not let this service in: somebody has to mend that."""


class Fenced(Retryable):
    """Another instance has taken one of our leases; the transaction changed nothing."""


class Conflict(Retryable):
    """Run the batch again: another transaction came between. It is no attempt of any event.

    Postgres's deadlocks and serialization failures are raised as it; handlers raise it where they see the like.

    Example:
        >>> async def add_points(tx: Transaction, order_ids: Sequence[str]) -> None:
        ...     query = "INSERT INTO points (order_id) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING RETURNING 1"
        ...     if len(await tx.fetch(query, order_ids)) < len(order_ids):
        ...         raise Conflict("points of this batch were added by another instance")
    """


class NotAsExpectedError(Exception):
    """A batch is not wholly ours and new: it has to be asked which of it is."""


def storable(reason: str) -> str:
    """Cut a reason to what Postgres and a header take: no NUL, no half of a surrogate pair."""
    return reason[:500].replace("\x00", "\ufffd").encode(errors="replace").decode()


@dataclass(slots=True)
class Lease:
    """The right to handle a partition, while `epoch` is the stored one; `next` is where to go on."""

    epoch: int
    next: Position


MOST_BEHIND = 200
"""Of the rows before one no more than this and one are told: while Kafka is away there may be any number."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """Packed messages of a shard that are committed and not yet known to be published.

    `behind` is told of what commands committed: the rows of the shard that were there before, be they published or not;
    the last ones of more than `MOST_BEHIND`.
    """

    id: int
    messages: bytes
    shard: Partition
    behind: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class BatchClaim:
    """What a batch claims when its transaction begins."""

    leases: Mapping[Partition, tuple[int, Position]]
    """partition → (epoch, where to go on after this batch)"""
    published: Sequence[int] = ()
    inbox: Sequence[InboxRow] = ()
    keys: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """What the store knew: which events are new, and which keys have parked events."""

    new_ids: frozenset[Identity]
    blocked_keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the store knows of events that are not claimed yet: taken in, behind parked ones, our own dead letters."""

    identities: frozenset[Identity] = frozenset()
    blocked_keys: frozenset[str] = frozenset()
    letters: frozenset[uuid.UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """An item that waits, or waited and is due."""

    id: int
    shard: Partition
    offset: int | None
    key: str
    type: str
    headers: Sequence[Header]
    value: bytes
    attempts: int


@dataclass(frozen=True, slots=True)
class TimerRow:
    """A timer that is due."""

    shard: Partition
    name: str
    key: str
    payload: bytes
    trace: Trace = NONE


@dataclass(frozen=True, slots=True)
class CallRow:
    """An intent without a known outcome; `request` is JSON."""

    id: str
    shard: Partition
    kind: str
    key: str
    request: bytes
    attempts: int = 0
    trace: Trace = NONE


@dataclass(frozen=True, slots=True)
class Park:
    """An item to park: new, or again (it has a `parked_id`) after another failed attempt."""

    item: WorkItem
    attempts: int
    reason: str
    delay: timedelta


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """The record of one dead letter; `id` is the same whenever the same record dies."""

    id: uuid.UUID
    shard: Partition
    offset: int | None
    key: str | None
    type: str
    event_id: str | None
    attempts: int
    reason: str
    trace: Trace = NONE


@dataclass(frozen=True, slots=True)
class JournalRow:
    """Something that happened to an item of a key; `due` is the wait until its next attempt."""

    key: str
    what: str
    type: str
    event_id: str | None
    attempt: int | None = None
    reason: str | None = None
    due: timedelta | None = None


class TimerWrite(NamedTuple):
    """A timer to set: it falls due `after` the write, by the database's clock. `payload` is JSON."""

    shard: Partition
    name: str
    key: str
    after: timedelta
    payload: bytes
    trace: Trace = NONE


@dataclass(slots=True)
class BatchWrites:
    """What a batch writes at its end."""

    outbox: dict[Partition, bytes] = field(default_factory=dict)
    intake: bool = False
    timers: list[TimerWrite] = field(default_factory=list)
    cancelled_timers: list[tuple[str, str]] = field(default_factory=list)
    """(key, name)"""
    calls: list[CallRow] = field(default_factory=list)
    park: list[Park] = field(default_factory=list)
    unpark: list[int] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    journal: list[JournalRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Due:
    """What waits no longer, and in how many seconds the next does (None: nothing waits)."""

    parked: Sequence[ParkedRow]
    timers: Sequence[TimerRow]
    next_in: float | None


class BatchTransaction(Protocol):
    """A batch's transaction: the handlers' statements, and the bookkeeping around them."""

    async def fetch(self, query: str, *args: object) -> Sequence[Mapping[str, Any]]:
        """Run a query."""
        ...

    async def execute(self, query: str, *args: object) -> None:
        """Run a statement."""
        ...

    async def copy(self, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
        """Add rows to a table."""
        ...

    async def expect(self, claim: BatchClaim, timers: Sequence[tuple[str, str]], calls: Sequence[str]) -> None:
        """Claim a batch and take its (key, name) timers and outcomes of calls, without waiting for an answer.

        Where not all of it is ours and new, or a key of it is blocked, a later query or `close` raises
        `NotAsExpectedError`.
        """
        ...

    async def open(self, claim: BatchClaim) -> ClaimResult:
        """Check leases, store offsets, fill the inbox, delete published outbox rows; raise `Fenced`."""
        ...

    async def claim_timers(self, timers: Sequence[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Take these (key, name) timers if they are still set and due."""
        ...

    async def claim_calls(self, ids: Sequence[str]) -> frozenset[str]:
        """Take these calls' outcomes, each once ever."""
        ...

    async def take_in(self, inbox: Sequence[InboxRow]) -> frozenset[Identity]:
        """Fill the inbox with more than `open` did; gives what is new."""
        ...

    async def claim_redrives(self, ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, str | None]:
        """Take back these dead letters of this service, each once per death; gives their event ids."""
        ...

    async def close(self, writes: BatchWrites) -> Sequence[OutboxRow]:
        """Write all that the batch owes, and perhaps commit; gives the outbox rows. Nothing comes after it."""
        ...

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """Undo on exception what the block did, and nothing else."""
        ...


class Store(Protocol):
    """A service's schema in Postgres."""

    async def acquire(self, partitions: Collection[Partition], owner: str) -> dict[Partition, Lease]:
        """Take leases by raising their epochs; waits for a former owner's transaction under way."""
        ...

    async def release(self, leases: Mapping[Partition, Lease], published: Sequence[int]) -> None:
        """Give leases back, if they are still ours, and delete published outbox rows."""
        ...

    async def backlog(
        self, partitions: Collection[Partition], intake: bool, published: Sequence[int], held: Sequence[int]
    ) -> list[OutboxRow]:
        """Delete `published`, then give the oldest outbox rows of these partitions in order, without those held."""
        ...

    async def pending_calls(self, partitions: Collection[Partition]) -> list[CallRow]:
        """Return the intents without outcome, whose owners may have died in the middle of them."""
        ...

    async def due(self, partitions: Collection[Partition], limit: int) -> Due:
        """Return what fell due, by the database's clock."""
        ...

    async def seen(self, inbox: Sequence[InboxRow], keys: Collection[str], letters: Sequence[uuid.UUID]) -> Seen:
        """Return which of these events were taken in, which keys have parked ones, which letters may be redriven."""
        ...

    async def neglected(self, topics: Collection[str]) -> frozenset[Partition]:
        """Return the partitions of other topics for which something has been overdue for a minute."""
        ...

    async def record_dead_letter(self, letter: DeadLetter) -> None:
        """Note a dead letter outside of any batch."""
        ...

    async def note_attempt(self, call_id: str, reason: str) -> None:
        """Store that a call was tried and its outcome is unknown."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[BatchTransaction]:
        """Open the one transaction of the worker's batch; commits at the end of the block."""
        ...

    def intake_transaction(self) -> AbstractAsyncContextManager[BatchTransaction]:
        """Begin a transaction on the intake's own connection."""
        ...

    async def read(self, query: str, *args: object) -> Sequence[Mapping[str, Any]]:
        """Query outside any batch."""
        ...

    async def rotate_inbox(self, keep_days: int) -> None:
        """Forget what was taken in more than so many days ago, by the database's clock."""
        ...
