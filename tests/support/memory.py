"""A log and a store in memory, for the runtime's core at memory speed and with faults at every step.

Both keep the ports' promises (`orderflow_runtime.log`, `.store`) with real isolation: a transaction works on a copy
that becomes the state at its commit. Tests raise the ports' errors, or stop time, through `Faults` by step names:
begin open claim close commit committed (the commit happened, its answer is lost) acquire release backlog
pending_calls due note start resume fetch publish published (all written, the answer is lost).
"""

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

from orderflow_runtime.context import read_trace
from orderflow_runtime.item import Arrival, Identity
from orderflow_runtime.log import (
    Message,
    Partition,
    Position,
    Record,
    Refusal,
    Refused,
    Revoked,
    Stretch,
    pack_headers,
    partition_of,
    unpack_headers,
)
from orderflow_runtime.statements import MAX_REDRIVES
from orderflow_runtime.store import (
    CallRow,
    Closing,
    DeadLetter,
    Due,
    Fenced,
    JournalRow,
    Lease,
    Opened,
    Opening,
    OutboxRow,
    Park,
    ParkedRow,
    TimerRow,
)


class Faults:
    """What goes wrong, by step: `add` scripts it, `always` decides at every step."""

    def __init__(self) -> None:
        self._scripted: defaultdict[str, list[BaseException | None]] = defaultdict(list)
        self.always: Callable[[str], None] = lambda _: None
        self.seen: list[str] = []

    def add(self, step: str, *errors: BaseException | None) -> None:
        """Raise these at the next passes of the step; None lets one pass."""
        self._scripted[step] += errors

    def at(self, step: str) -> None:
        """Pass a step."""
        self.seen.append(step)
        self.always(step)
        if self._scripted[step] and (error := self._scripted[step].pop(0)) is not None:
            raise error


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
    """A service's schema; `statements` are the handlers' own, in order."""

    offsets: dict[Partition, OffsetRow] = field(default_factory=dict)
    inbox: set[Identity] = field(default_factory=set)
    arrivals: list[Arrival] = field(default_factory=list)
    outbox: dict[int, tuple[Partition, bool, bytes]] = field(default_factory=dict)
    parked: dict[int, tuple[ParkedRow, str, float]] = field(default_factory=dict)
    timers: dict[tuple[str, str], tuple[Partition, float, bytes, str | None]] = field(default_factory=dict)
    calls: dict[str, CallRow] = field(default_factory=dict)
    dead: dict[uuid.UUID, LetterRow] = field(default_factory=dict)
    journal: list[JournalRow] = field(default_factory=list)
    statements: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    last_id: int = 0

    def copy(self) -> "State":
        """Give a copy that changes by itself."""
        copied = {name: getattr(self, name).copy() for name in self.__dataclass_fields__ if name != "last_id"}
        copied["offsets"] = {p: replace(row) for p, row in self.offsets.items()}
        return State(**copied, last_id=self.last_id)

    def new_id(self) -> int:
        """Give the next identity."""
        self.last_id += 1
        return self.last_id

    def held(self) -> set[str]:
        """Give the keys with parked items."""
        return {row.key for row, _, _ in self.parked.values()}

    def heads(self, partitions: Collection[Partition]) -> list[tuple[float, ParkedRow]]:
        """Give the first parked item of every key, with its due time."""
        first: dict[str, int] = {}
        for number, (row, _, _) in sorted(self.parked.items()):
            first.setdefault(row.key, number)
        found = [self.parked[number] for number in first.values()]
        return sorted(
            ((due, row) for row, _, due in found if row.shard in partitions), key=lambda at: (at[0], at[1].id)
        )


class MemoryTransaction:
    """A `BatchTransaction` on a copy of the state."""

    def __init__(self, state: State, now: Callable[[], float], faults: Faults) -> None:
        self.state = state
        self._now = now
        self._faults = faults

    async def fetch(self, query: str, *args: object) -> list[Any]:
        """Note the query; nothing is found."""
        await self.execute(query, *args)
        return []

    async def execute(self, query: str, *args: object) -> None:
        """Note the statement."""
        await asyncio.sleep(0)
        self.state.statements.append((query, args))

    async def open(self, opening: Opening) -> Opened:
        """Claim the batch."""
        self._faults.at("open")
        state = self.state
        for partition, (epoch, offset) in opening.leases.items():
            row = state.offsets.get(partition, OffsetRow())
            if row.epoch != epoch:
                raise Fenced(f"{partition} is at epoch {row.epoch}, not {epoch}")
            row.next = offset
        _forget(state, opening.published)
        return Opened(await self.take_in(opening.inbox), frozenset(state.held() & set(opening.keys)))

    async def claim_timers(self, timers: Sequence[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Take timers."""
        self._faults.at("claim")
        due = [at for at in timers if at in self.state.timers and self.state.timers[at][1] <= self._now()]
        return frozenset(at for at in due if self.state.timers.pop(at, None))

    async def claim_calls(self, ids: Sequence[str]) -> frozenset[str]:
        """Take outcomes."""
        self._faults.at("claim")
        return frozenset(number for number in ids if self.state.calls.pop(number, None))

    async def take_in(self, inbox: Sequence[Arrival]) -> frozenset[Identity]:
        """Fill the inbox."""
        fresh = frozenset(arrival.identity for arrival in inbox) - self.state.inbox
        self.state.inbox |= fresh
        self.state.arrivals += [arrival for arrival in inbox if arrival.identity in fresh]
        return fresh

    async def claim_redrives(self, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, str | None]:
        """Take dead letters back."""
        self._faults.at("claim")
        rows = {number: self.state.dead[number] for number in ids if number in self.state.dead}
        taken = {i: row for i, row in rows.items() if row.state == "Dead" and row.redrives < MAX_REDRIVES}
        self.state.dead |= {i: LetterRow(row.letter, "Redriven", row.redrives + 1) for i, row in taken.items()}
        return {number: row.letter.event_id for number, row in taken.items()}

    async def close(self, closing: Closing) -> list[OutboxRow]:
        """Write what is owed."""
        self._faults.at("close")
        state, now = self.state, self._now()
        for at in closing.cancelled_timers:
            state.timers.pop(at, None)
        for key, name, topic, number, after, payload, trace in closing.timers:
            state.timers[key, name] = (Partition(topic, number), now + after.total_seconds(), payload, trace)
        for call in closing.calls:
            state.calls.setdefault(call.id, call)
        for number in closing.unpark:
            state.parked.pop(number)
        for park in closing.park:
            self._park(park, now + park.delay.total_seconds())
        state.journal += closing.journal
        for letter in closing.dead:
            redrives = state.dead[letter.id].redrives if letter.id in state.dead else 0
            state.dead[letter.id] = LetterRow(letter, "Dead", redrives)
        rows = [OutboxRow(state.new_id(), messages) for messages in closing.outbox.values()]
        state.outbox |= {r.id: (p, closing.intake, r.messages) for p, r in zip(closing.outbox, rows, strict=True)}
        return rows

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
    """A `Store`; several workers may share one, as instances share a schema. `now` is the database's clock."""

    def __init__(self, now: Callable[[], float] = time.monotonic, faults: Faults | None = None) -> None:
        self.state = State()
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
        """Give the oldest rows, few at a time."""
        async with self._one_at_a_time:
            self.faults.at("backlog")
            _forget(self.state, published)
            rows = [(number, row) for number, row in sorted(self.state.outbox.items()) if number not in held]
            return [OutboxRow(i, m) for i, (p, kind, m) in rows if kind is intake and p in partitions][:3]

    async def pending_calls(self, partitions: Collection[Partition]) -> list[CallRow]:
        """Give intents."""
        self.faults.at("pending_calls")
        return [call for call in self.state.calls.values() if call.shard in partitions]

    async def due(self, partitions: Collection[Partition], limit: int) -> Due:
        """Give what is due."""
        self.faults.at("due")
        now, heads = self.now(), self.state.heads(partitions)
        timers = [(due, at, p, *rest) for at, (p, due, *rest) in self.state.timers.items() if p in partitions]
        waits = [due - now for due, *_ in (*heads, *timers)]
        parked = [row for due, row in heads if due <= now]
        fired = [
            TimerRow(p, name, key, payload, read_trace(trace))
            for due, (key, name), p, payload, trace in sorted(timers, key=itemgetter(0, 1))
            if due <= now
        ]
        return Due(parked[:limit], fired[:limit], min(waits) if waits else None)

    async def neglected(self, topics: Collection[str]) -> frozenset[Partition]:
        """Give what waits on other topics, at once."""
        state = self.state
        waiting = {shard for shard, *_ in state.outbox.values()} | {row.shard for row, *_ in state.parked.values()}
        waiting |= {shard for shard, *_ in state.timers.values()} | {call.shard for call in state.calls.values()}
        return frozenset(shard for shard in waiting if shard.topic not in topics)

    async def bury(self, letter: DeadLetter) -> None:
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
            tx = MemoryTransaction(self.state.copy(), self.now, self.faults)
            yield tx
            self.faults.at("commit")
            self.state = tx.state
            self.faults.at("committed")

    intake_transaction = transaction

    async def read(self, query: str, *args: object) -> list[Any]:
        """Find nothing but a count of what is parked."""
        self.faults.at("read")
        return [{"value": len(self.state.parked)}]

    async def rotate_inbox(self, keep_days: int) -> None:
        """Keep everything."""
        self.faults.at("rotate")


def _forget(state: State, published: Sequence[int]) -> None:
    for number in published:
        state.outbox.pop(number, None)


class MemoryCluster:
    """The records of all topics, and the groups' members; `topics` gives the number of partitions.

    None stands at offsets that hold no record: where a transaction ended, or compaction took one.
    """

    def __init__(self, topics: Mapping[str, int]) -> None:
        self.topics = dict(topics)
        self.ids: dict[str, uuid.UUID] = {}
        self.records: defaultdict[Partition, list[Record | None]] = defaultdict(list)
        self.groups: defaultdict[str, list[MemoryLog]] = defaultdict(list)
        self.arrived = asyncio.Event()
        self.refused: dict[str, str] = {}
        """Topics that nothing may be written to, and why."""
        self.limits: dict[str, int] = {}
        """The largest value that a topic takes."""

    def all_records(self, topic: str) -> list[Record]:
        """Give the records of a topic."""
        rows = [row for number in range(self.topics[topic]) for row in self.records[Partition(topic, number)]]
        return [record for record in rows if record is not None]

    def refusal(self, place: int, message: Message) -> Refusal | None:
        """Tell why a message is refused."""
        if reason := self.refused.get(message.topic):
            return Refusal(place, False, reason)
        if len(message.value) > self.limits.get(message.topic, 10**9):
            return Refusal(place, True, f"topic {message.topic} takes no message like this one")
        return None

    def append(self, message: Message) -> Record:
        """Write one record."""
        number = partition_of(message.key or b"", self.topics[message.topic])
        partition = Partition(message.topic, number)
        headers = tuple(message.headers)
        record = Record(
            partition, len(self.records[partition]), message.key, headers, message.value, int(time.time() * 1000)
        )
        self._append(partition, record)
        return record

    def end_transaction(self, topic: str) -> None:
        """Write the marker of an end into each partition."""
        for number in range(self.topics[topic]):
            self._append(Partition(topic, number), None)

    def make_anew(self, topic: str) -> None:
        """Delete a topic with all it holds, and create it again."""
        self.ids[topic] = uuid.uuid4()
        for partition in [p for p in self.records if p.topic == topic]:
            del self.records[partition]

    def all(self, topic: str) -> list[Record]:
        """Give a topic's records, partition by partition."""
        return [r for p in sorted(self.records) if p.topic == topic for r in self.records[p] if r is not None]

    def _append(self, partition: Partition, record: Record | None) -> None:
        self.records[partition].append(record)
        self.arrived.set()
        self.arrived = asyncio.Event()

    async def rebalance(self, group: str) -> None:
        """Deal out the partitions anew: everyone gives back, then whoever is a member by then gets."""
        for member in list(self.groups[group]):
            await member.revoke()
        self._deal(self.groups[group])

    def kick(self, member: "MemoryLog") -> None:
        """Take a member's seat without its knowledge: it goes on as a zombie, its partitions go to the others."""
        others = [m for m in self.groups[member.group] if m is not member]
        self.groups[member.group] = others
        self._deal(others)

    def _deal(self, members: Sequence["MemoryLog"]) -> None:
        for index, member in enumerate(members):
            member.assign(self._all_of(member)[index :: len(members)])

    def _all_of(self, member: "MemoryLog") -> list[Partition]:
        return [Partition(topic, n) for topic in sorted(member.topics) for n in range(self.topics[topic])]


class MemoryLog:
    """A `Log`: one member of a group on a `MemoryCluster`."""

    def __init__(
        self, cluster: MemoryCluster, group: str, topics: Collection[str], faults: Faults | None = None
    ) -> None:
        self.cluster = cluster
        self.group = group
        self.topics = frozenset(topics)
        self.faults = faults or Faults()
        self.reported: dict[Partition, int] = {}
        self._assigned: frozenset[Partition] = frozenset()
        self._joined = False
        self._positions: dict[Partition, Position] = {}
        self._on_revoked: Revoked | None = None

    async def start(self, on_revoked: Revoked) -> None:
        """Join."""
        self.faults.at("start")
        self._on_revoked = on_revoked
        if self not in self.cluster.groups[self.group]:
            self.cluster.groups[self.group].append(self)
        await self.cluster.rebalance(self.group)

    def assigned(self) -> frozenset[Partition]:
        """Give what is assigned."""
        return self._assigned

    def joined(self) -> bool:
        """Tell whether there was an assignment."""
        return self._joined

    def assign(self, partitions: Collection[Partition]) -> None:
        """Get partitions, still paused."""
        self._assigned, self._joined = frozenset(partitions), True
        self._positions = {p: n for p, n in self._positions.items() if p in self._assigned}

    async def revoke(self) -> None:
        """Lose all partitions, as in an eager rebalance."""
        lost, self._assigned, self._positions = self._assigned, frozenset(), {}
        if lost and self._on_revoked:
            await self._on_revoked(lost)

    async def resume(self, positions: Mapping[Partition, Position]) -> Mapping[Partition, Position]:
        """Read on, from the start where the topic was made anew."""
        self.faults.at("resume")
        found = {p: self._place(p, at) for p, at in positions.items() if p in self._assigned}
        self._positions |= found
        return found

    def _place(self, partition: Partition, at: Position) -> Position:
        topic_id = self.cluster.ids.get(partition.topic)
        is_other = at.topic_id not in (None, topic_id) or at.offset > len(self.cluster.records[partition])
        return Position(0, topic_id) if is_other else at._replace(topic_id=topic_id)

    async def fetch(self, limit: int, wait: float) -> list[Stretch]:
        """Give what is there, or wait for it."""
        self.faults.at("fetch")
        arrived = self.cluster.arrived
        if not (found := self._take(limit)):
            try:
                async with asyncio.timeout(wait):
                    await arrived.wait()
            except TimeoutError:
                return []
            found = self._take(limit)
        return found

    async def publish(self, messages: Sequence[Message]) -> None:
        """Write all but what is refused; a fault at "publish" falls between two."""
        refusals = []
        for place, message in enumerate(messages):
            self.faults.at("publish")
            await asyncio.sleep(0)
            if refusal := self.cluster.refusal(place, message):
                refusals.append(refusal)
            else:
                self.cluster.append(message)
        self.faults.at("published")
        if refusals:
            raise Refused(refusals)

    async def publish_again(self, messages: Sequence[Message]) -> None:
        """Write what was refused before."""
        await self.publish(messages)

    async def report(self, offsets: Mapping[Partition, int]) -> None:
        """Note it."""
        self.reported |= offsets

    def ends(self) -> Mapping[Partition, int]:
        """Give the ends as they are."""
        return {partition: len(self.cluster.records[partition]) for partition in self.assigned()}

    async def partitions_of(self, topic: str) -> int:
        """Give the number."""
        self.faults.at("metadata")
        return self.cluster.topics[topic]

    async def stop(self) -> None:
        """Leave."""
        members = self.cluster.groups[self.group]
        if self in members:
            members.remove(self)
            await self.revoke()
            self._joined = False
            await self.cluster.rebalance(self.group)

    def _take(self, limit: int) -> list[Stretch]:
        taken: list[Stretch] = []
        for partition, begin in self._positions.items():
            spare = limit - sum(len(stretch.records) for stretch in taken)
            if part := self.cluster.records[partition][begin.offset : begin.offset + spare]:
                end = begin._replace(offset=begin.offset + len(part))
                taken.append(Stretch(partition, begin, end, [record for record in part if record is not None]))
        self._positions |= {stretch.partition: stretch.end for stretch in taken}
        return taken
