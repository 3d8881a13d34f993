"""A log in memory, with groups whose members come and go, and faults at every step; the store is `memory_store.py`.

It keeps the promises of its port (`core/event_log.py`), order by topic and key among them.
"""

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from orderflow_runtime.core.event_log import (
    Message,
    Partition,
    Position,
    Record,
    Refusal,
    RefusedError,
    Revoked,
    Stretch,
    partition_of,
)
from orderflow_runtime.testing.faults import Faults


class MemoryCluster:
    """A Kafka: the records of all topics, and the groups' members.

    None stands at offsets that hold no record: where a transaction ended, or compaction took one.

    Args:
        topics: The number of each topic's partitions, by name.

    Example:
        >>> cluster = MemoryCluster({"orders": 2})
        >>> record = cluster.append(Message("orders", b"o1", [], b"{}"))
        >>> [found.key for found in cluster.records_of("orders")]
        [b'o1']
    """

    def __init__(self, topics: Mapping[str, int]) -> None:
        self.topics = dict(topics)
        self.ids: dict[str, uuid.UUID] = {}
        self.records: defaultdict[Partition, list[Record | None]] = defaultdict(list)
        self.groups: defaultdict[str, list[MemoryLog]] = defaultdict(list)
        self.arrived = asyncio.Event()
        self.refused: dict[str, str] = {}
        """Topics that nothing may be written to, and why."""
        self.unread: dict[str, str] = {}
        """Topics that nobody may read, and why."""
        self.limits: dict[str, int] = {}
        """The largest value that a topic takes."""

    def refusal(self, place: int, message: Message) -> Refusal | None:
        """Return why a message is refused, if it is.

        Args:
            place: Its place among those published together.
            message: The message.
        """
        if reason := self.refused.get(message.topic):
            return Refusal(place, False, reason)
        if len(message.value) > self.limits.get(message.topic, 10**9):
            return Refusal(place, True, f"topic {message.topic} takes no message like this one")
        return None

    def append(self, message: Message) -> Record:
        """Write one record, and return it.

        Args:
            message: What to write, and to which topic.
        """
        number = partition_of(message.key or b"", self.topics[message.topic])
        partition = Partition(message.topic, number)
        headers = tuple(message.headers)
        record = Record(
            partition, len(self.records[partition]), message.key, headers, message.value, int(time.time() * 1000)
        )
        self._append(partition, record)
        return record

    def end_transaction(self, topic: str) -> None:
        """Write a marker, as at the end of a producer's transaction, into each partition.

        Args:
            topic: The topic's name.
        """
        for number in range(self.topics[topic]):
            self._append(Partition(topic, number), None)

    def make_anew(self, topic: str) -> None:
        """Delete a topic with all it holds, and create it again.

        Args:
            topic: The topic's name.
        """
        self.ids[topic] = uuid.uuid4()
        for partition in [p for p in self.records if p.topic == topic]:
            del self.records[partition]

    def records_of(self, topic: str) -> list[Record]:
        """Return a topic's records, partition by partition.

        Args:
            topic: The topic's name.
        """
        return [r for p in sorted(self.records) if p.topic == topic for r in self.records[p] if r is not None]

    def _append(self, partition: Partition, record: Record | None) -> None:
        self.records[partition].append(record)
        self.arrived.set()
        self.arrived = asyncio.Event()

    async def rebalance(self, group: str) -> None:
        """Deal out the partitions anew: everyone gives back, then whoever is a member by then gets.

        Args:
            group: The group's name.
        """
        for member in list(self.groups[group]):
            await member.revoke()
        self._deal(self.groups[group])

    def kick(self, member: "MemoryLog") -> None:
        """Take a member's seat without its knowledge: it goes on as a zombie, its partitions go to the others.

        Args:
            member: Who is thrown out.
        """
        others = [m for m in self.groups[member.group] if m is not member]
        self.groups[member.group] = others
        self._deal(others)

    def _deal(self, members: Sequence["MemoryLog"]) -> None:
        for index, member in enumerate(members):
            member.assign(self._all_of(member)[index :: len(members)])

    def _all_of(self, member: "MemoryLog") -> list[Partition]:
        return [Partition(topic, n) for topic in sorted(member.topics) for n in range(self.topics[topic])]


class MemoryLog:
    """A `Consumer` and a `Producer`: one member of a group on a `MemoryCluster`.

    Args:
        cluster: Where its records are.
        group: The group that it is of.
        topics: What it reads.
        faults: What goes wrong in it.

    Example:
        >>> log = MemoryLog(MemoryCluster({"orders": 2}), "rewards", ["orders"])
        >>> asyncio.run(log.publish([Message("orders", b"o1", [], b"{}")]))
        >>> len(log.cluster.records_of("orders"))
        1
    """

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
        """Return what is assigned."""
        return self._assigned

    def unread(self) -> Mapping[str, str]:
        """Return what the cluster does not let be read."""
        return {topic: why for topic, why in self.cluster.unread.items() if topic in self.topics}

    def joined(self) -> bool:
        """Return whether there was an assignment."""
        return self._joined

    def assign(self, partitions: Collection[Partition]) -> None:
        """Get partitions, still paused, as the group deals them out.

        Args:
            partitions: All that it has from now on.
        """
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
        """Return what is there, or wait for it."""
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
            raise RefusedError(refusals)

    async def publish_again(self, messages: Sequence[Message]) -> None:
        """Write what was refused before."""
        await self.publish(messages)

    async def report(self, offsets: Mapping[Partition, int]) -> None:
        """Note it."""
        self.reported |= offsets

    def ends(self) -> Mapping[Partition, int]:
        """Return the ends as they are."""
        return {partition: len(self.cluster.records[partition]) for partition in self.assigned()}

    async def partitions_of(self, topic: str) -> int:
        """Return the number."""
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
            if partition.topic in self.cluster.unread:
                continue
            spare = limit - sum(len(stretch.records) for stretch in taken)
            if part := self.cluster.records[partition][begin.offset : begin.offset + spare]:
                end = begin._replace(offset=begin.offset + len(part))
                taken.append(Stretch(partition, begin, end, [record for record in part if record is not None]))
        self._positions |= {stretch.partition: stretch.end for stretch in taken}
        return taken
