"""A store in memory, for a service's core at memory speed and with faults at every step; the log is `memory_log.py`.

It keeps the promises of its port (`core/store.py`) with real isolation: a transaction works on a copy that becomes the
state at its commit. It runs no SQL: the handlers' statements are noted, and queries find what a test laid out.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from orderflow_contracts.dead_letters import MAX_REDRIVES
from orderflow_runtime.core.event_log import (
    Partition,
    Position,
    pack_headers,
    unpack_headers,
)
from orderflow_runtime.core.store import (
    BatchClaim,
    BatchWrites,
    CallRow,
    ClaimResult,
    DeadLetter,
    Due,
    Fenced,
    JournalRow,
    Lease,
    NotAsExpectedError,
    OutboxRow,
    Park,
    ParkedRow,
    Seen,
    TimerRow,
)
from orderflow_runtime.core.work_item import Identity, InboxRow
from orderflow_runtime.testing.faults import Faults
from orderflow_runtime.tracing.trace_context import read_trace

Rows = dict[str, Sequence[Mapping[str, Any]]]


@dataclass(slots=True)
class OffsetRow:
    """A row of `offsets`."""

    next: Position = field(default_factory=lambda: Position(0))
    epoch: int = 0
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class LetterRow:
    """A row of `dead_letters`."""

    letter: DeadLetter
    state: str = "Dead"
    redrives: int = 0


@dataclass
class State:
    """A service's schema; `statements` are the handlers' own with their arguments, in order."""

    offsets: dict[Partition, OffsetRow] = field(default_factory=dict)
    inbox: set[Identity] = field(default_factory=set)
    inbox_rows: list[InboxRow] = field(default_factory=list)
    outbox: dict[int, tuple[Partition, bool, bytes]] = field(default_factory=dict)
    parked: dict[int, tuple[ParkedRow, str, float]] = field(default_factory=dict)
    timers: dict[tuple[str, str], tuple[Partition, float, bytes, str | None]] = field(default_factory=dict)
    calls: dict[str, CallRow] = field(default_factory=dict)
    dead: dict[uuid.UUID, LetterRow] = field(default_factory=dict)
    journal: list[JournalRow] = field(default_factory=list)
    statements: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    last_id: int = 0

    def copy(self) -> "State":
        """Return a copy that changes by itself."""
        copied = {name: getattr(self, name).copy() for name in self.__dataclass_fields__ if name != "last_id"}
        copied["offsets"] = {p: replace(row) for p, row in self.offsets.items()}
        return State(**copied, last_id=self.last_id)

    def new_id(self) -> int:
        """Return the next identity."""
        self.last_id += 1
        return self.last_id

    def blocked_keys(self) -> set[str]:
        """Return the keys with parked items."""
        return {row.key for row, _, _ in self.parked.values()}

    def heads(self, partitions: Collection[Partition]) -> list[tuple[float, ParkedRow]]:
        """Return the first parked item of every key, with its due time."""
        first: dict[str, int] = {}
        for number, (row, _, _) in sorted(self.parked.items()):
            first.setdefault(row.key, number)
        found = [self.parked[number] for number in first.values()]
        return sorted(
            ((due, row) for row, _, due in found if row.shard in partitions), key=lambda at: (at[0], at[1].id)
        )


class MemoryTransaction:
    """A `BatchTransaction` on a copy of the state."""

    def __init__(self, state: State, now: Callable[[], float], faults: Faults, rows: Rows) -> None:
        self.state = state
        self._now = now
        self._faults = faults
        self._rows = rows
        self._surprise: NotAsExpectedError | None = None

    async def fetch(self, query: str, *args: object) -> Sequence[Mapping[str, Any]]:
        """Note the query, and return what was laid out for it."""
        self._raise_surprise()
        await self.execute(query, *args)
        return self._rows.get(query, ())

    async def execute(self, query: str, *args: object) -> None:
        """Note the statement."""
        await asyncio.sleep(0)
        self.state.statements.append((query, args))

    async def copy(self, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
        """Note the table, as a statement whose arguments are the rows."""
        await self.execute(table, *rows)

    async def expect(self, claim: BatchClaim, timers: Sequence[tuple[str, str]], calls: Sequence[str]) -> None:
        """Claim all of it; what is not as expected is raised later, as by Postgres."""
        result = await self.open(claim)
        fired = await self.claim_timers(timers) if timers else ()
        answered = await self.claim_calls(calls) if calls else ()
        taken = len(result.new_ids), len(fired), len(answered)
        if result.blocked_keys or taken != (len(claim.inbox), len(timers), len(calls)):
            self._surprise = NotAsExpectedError("the batch is not wholly ours and new: it will ask which of it is")

    def _raise_surprise(self) -> None:
        if self._surprise is not None:
            raise self._surprise

    async def open(self, claim: BatchClaim) -> ClaimResult:
        """Claim the batch."""
        self._faults.at("open")
        state = self.state
        for partition, (epoch, offset) in claim.leases.items():
            row = state.offsets.get(partition, OffsetRow())
            if row.epoch != epoch:
                raise Fenced(f"{partition} is at epoch {row.epoch}, not {epoch}")
            row.next = offset
        _forget(state, claim.published)
        return ClaimResult(await self.take_in(claim.inbox), frozenset(state.blocked_keys() & set(claim.keys)))

    async def claim_timers(self, timers: Sequence[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Take timers."""
        self._faults.at("claim")
        due = [at for at in timers if at in self.state.timers and self.state.timers[at][1] <= self._now()]
        return frozenset(at for at in due if self.state.timers.pop(at, None))

    async def claim_calls(self, ids: Sequence[str]) -> frozenset[str]:
        """Take outcomes."""
        self._faults.at("claim")
        return frozenset(number for number in ids if self.state.calls.pop(number, None))

    async def take_in(self, inbox: Sequence[InboxRow]) -> frozenset[Identity]:
        """Fill the inbox."""
        new_ids = frozenset(inbox_row.identity for inbox_row in inbox) - self.state.inbox
        self.state.inbox |= new_ids
        self.state.inbox_rows += [inbox_row for inbox_row in inbox if inbox_row.identity in new_ids]
        return new_ids

    async def claim_redrives(self, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, str | None]:
        """Take dead letters back."""
        self._faults.at("claim")
        rows = {number: self.state.dead[number] for number in ids if number in self.state.dead}
        taken = {i: row for i, row in rows.items() if row.state == "Dead" and row.redrives < MAX_REDRIVES}
        self.state.dead |= {i: LetterRow(row.letter, "Redriven", row.redrives + 1) for i, row in taken.items()}
        return {number: row.letter.event_id for number, row in taken.items()}

    async def close(self, writes: BatchWrites) -> list[OutboxRow]:
        """Write what is owed."""
        self._raise_surprise()
        self._faults.at("close")
        state, now = self.state, self._now()
        for at in writes.cancelled_timers:
            state.timers.pop(at, None)
        for timer in writes.timers:
            due = now + timer.after.total_seconds()
            state.timers[timer.key, timer.name] = (timer.shard, due, timer.payload, timer.trace.text())
        for call in writes.calls:
            state.calls.setdefault(call.id, call)
        for number in writes.unpark:
            state.parked.pop(number)
        for park in writes.park:
            self._park(park, now + park.delay.total_seconds())
        state.journal += writes.journal
        for letter in writes.dead:
            redrives = state.dead[letter.id].redrives if letter.id in state.dead else 0
            state.dead[letter.id] = LetterRow(letter, "Dead", redrives)
        rows = [OutboxRow(state.new_id(), messages, p, self._before(p)) for p, messages in writes.outbox.items()]
        state.outbox |= {row.id: (row.shard, writes.intake, row.messages) for row in rows}
        return rows

    def _before(self, shard: Partition) -> frozenset[int]:
        return frozenset(i for i, (at, intake, _) in self.state.outbox.items() if intake and at == shard)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo the block's changes on exception."""
        before = self.state.copy()
        try:
            yield
        except Exception:
            for name in before.__dataclass_fields__:
                setattr(self.state, name, getattr(before, name))
            raise

    def _park(self, park: Park, due: float) -> None:
        item = park.item
        number = item.parked_id or self.state.new_id()
        headers = unpack_headers(pack_headers(item.headers))
        row = ParkedRow(number, item.shard, item.offset, item.key, item.type, headers, item.value, park.attempts)
        self.state.parked[number] = (row, park.reason, due)


class MemoryStore:
    """A `Store`; several workers may share one, as instances share a schema.

    `state` is all that is committed. `rows` is what queries find, by the query's text: a query not in it finds nothing.

    Args:
        now: The database's clock, in seconds.
        faults: What goes wrong in it.

    Example:
        >>> store = MemoryStore()
        >>> store.rows["SELECT points FROM points WHERE order_id = $1"] = [{"points": 12}]
        >>> asyncio.run(store.read("SELECT points FROM points WHERE order_id = $1", "o1"))
        [{'points': 12}]
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, faults: Faults | None = None) -> None:
        self.state = State()
        self.rows: Rows = {}
        self.now = now
        self.faults = faults or Faults()
        self._one_at_a_time = asyncio.Lock()

    async def acquire(self, partitions: Collection[Partition], owner: str) -> dict[Partition, Lease]:
        """Raise epochs, after the transaction under way."""
        async with self._one_at_a_time:
            self.faults.at("acquire")
            leases = {}
            for partition in sorted(partitions):
                row = self.state.offsets.setdefault(partition, OffsetRow())
                row.epoch, row.owner = row.epoch + 1, owner
                leases[partition] = Lease(row.epoch, row.next)
            return leases

    async def release(self, leases: Mapping[Partition, Lease], published: Sequence[int]) -> None:
        """Mark leases as free."""
        async with self._one_at_a_time:
            self.faults.at("release")
            _forget(self.state, published)
            for partition, lease in leases.items():
                if (row := self.state.offsets[partition]).epoch == lease.epoch:
                    row.owner = None

    async def backlog(
        self, partitions: Collection[Partition], intake: bool, published: Sequence[int], held: Sequence[int]
    ) -> list[OutboxRow]:
        """Return the oldest rows, few at a time."""
        async with self._one_at_a_time:
            self.faults.at("backlog")
            _forget(self.state, published)
            rows = [(number, row) for number, row in sorted(self.state.outbox.items()) if number not in held]
            return [OutboxRow(i, m, p) for i, (p, kind, m) in rows if kind is intake and p in partitions][:3]

    async def pending_calls(self, partitions: Collection[Partition]) -> list[CallRow]:
        """Return intents."""
        self.faults.at("pending_calls")
        return [call for call in self.state.calls.values() if call.shard in partitions]

    async def due(self, partitions: Collection[Partition], limit: int) -> Due:
        """Return what is due."""
        self.faults.at("due")
        now, heads = self.now(), self.state.heads(partitions)
        timers = sorted((due, at) for at, (shard, due, *_) in self.state.timers.items() if shard in partitions)
        waits = [due - now for due, _ in heads] + [due - now for due, _ in timers]
        parked = [row for due, row in heads if due <= now]
        fired = [self._timer(at) for due, at in timers if due <= now]
        return Due(parked[:limit], fired[:limit], min(waits) if waits else None)

    def _timer(self, at: tuple[str, str]) -> TimerRow:
        shard, _, payload, trace = self.state.timers[at]
        key, name = at
        return TimerRow(shard, name, key, payload, read_trace(trace))

    async def seen(self, inbox: Sequence[InboxRow], keys: Collection[str], letters: Sequence[uuid.UUID]) -> Seen:
        """Look without claiming."""
        self.faults.at("seen")
        state = self.state
        dead = {i for i, row in state.dead.items() if row.state == "Dead" and row.redrives < MAX_REDRIVES}
        identities = frozenset(row.identity for row in inbox) & state.inbox
        return Seen(identities, frozenset(state.blocked_keys() & set(keys)), frozenset(dead & set(letters)))

    async def neglected(self, topics: Collection[str]) -> frozenset[Partition]:
        """Return what waits on other topics, at once."""
        state = self.state
        waiting = {shard for shard, *_ in state.outbox.values()} | {row.shard for row, *_ in state.parked.values()}
        waiting |= {shard for shard, *_ in state.timers.values()} | {call.shard for call in state.calls.values()}
        return frozenset(shard for shard in waiting if shard.topic not in topics)

    async def record_dead_letter(self, letter: DeadLetter) -> None:
        """Note a dead letter."""
        self.state.dead[letter.id] = LetterRow(letter)

    async def note_attempt(self, call_id: str, reason: str) -> None:
        """Count an attempt."""
        self.faults.at("note")
        if call := self.state.calls.get(call_id):
            self.state.calls[call_id] = replace(call, attempts=call.attempts + 1)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryTransaction]:
        """Commit a copy of the state."""
        async with self._one_at_a_time:
            self.faults.at("begin")
            tx = MemoryTransaction(self.state.copy(), self.now, self.faults, self.rows)
            yield tx
            self.faults.at("commit")
            self.state = tx.state
            self.faults.at("committed")

    intake_transaction = transaction

    async def read(self, query: str, *args: object) -> Sequence[Mapping[str, Any]]:
        """Return what was laid out for the query."""
        self.faults.at("read")
        return self.rows.get(query, ())

    async def rotate_inbox(self, keep_days: int) -> None:
        """Keep everything."""
        self.faults.at("rotate")


def _forget(state: State, published: Sequence[int]) -> None:
    for number in published:
        state.outbox.pop(number, None)
