"""Reads partitions that the group gave a consumer, each from a position in its log. `kafka_log.py` makes one with each
consumer, whose own fetches are held for good: `fetching.py` asks in their place.

Where the log is not the one that a position was stored for, because its topic was made anew or because it lost its
end, it is read from its first record, with an error in the log: what was handled before, the inbox drops. That is
found out when a partition is taken, before what comes from another leader or on another connection counts, and every
few seconds.

A topic that may not be read stays held, and the others are read. It is asked for now and then, and when it may be read
again everything is taken anew.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Collection, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError

from orderflow_runtime.core.event_log import LogUnavailable, Partition, Position, Stretch
from orderflow_runtime.kafka import lineage
from orderflow_runtime.kafka.aiokafka_compat import client_of
from orderflow_runtime.kafka.fetching import Fetcher
from orderflow_runtime.kafka.handover import Handover, Part
from orderflow_runtime.kafka.refusals import words

logger = logging.getLogger(__name__)

_VERIFY_EVERY_SECONDS, _VERIFY_SECONDS = 5.0, 2.0
"""How often it is asked whether what is read is still the same log, and for how long an answer is waited for."""
_HEAR_EVERY_SECONDS = 1.0
"""How often the consumer is asked for what became of its membership; it takes one that does not ask for stuck."""
_MADE_ANEW, _CUT_OFF = "its topic was made anew", "its end was cut off"


class Reader:
    """The partitions of a started consumer that are read now. Its methods raise aiokafka's own errors."""

    def __init__(self, consumer: AIOKafkaConsumer, handover: Handover) -> None:
        self._consumer = consumer
        self._fetcher = Fetcher(client_of(consumer))
        self._handover = handover
        handover.join(self._fetcher.take)
        self._hear_at = 0.0
        self._positions: dict[Partition, Position] = {}
        self._sources: dict[Partition, dict[str, object]] = {}
        """where what was read last came from, by its way; another dict each time that a partition is resumed"""
        self._ends: dict[Partition, int] = {}
        self._held: dict[str, Partition] = {}
        """a partition of each topic that is assigned and may not be read"""
        self._verify_at = 0.0

    @property
    def _client(self) -> AIOKafkaClient:
        return client_of(self._consumer)

    def hold(self, partitions: Collection[TopicPartition]) -> None:
        """Let the consumer itself read nothing of newly assigned partitions, nor ask where the group would."""
        self._consumer.pause(*partitions)
        for tp in partitions:
            self._consumer.seek(tp, 0)

    def drop(self, partitions: Collection[Partition]) -> None:
        """Forget partitions that are lost."""
        self._fetcher.drop(partitions)
        for partition in partitions:
            self._positions.pop(partition, None)
            self._sources.pop(partition, None)
        self._held = {topic: p for topic, p in self._held.items() if p not in partitions}

    async def resume(self, positions: Mapping[Partition, Position]) -> dict[Partition, Position]:
        """Read from these positions on, or where else it has to be; give from where."""
        found = await self._locate_readable(positions)
        for partition, position in found.items():
            self._positions[partition], self._sources[partition] = position, {}
            self._fetcher.seek(partition, position.offset)
        return found

    async def read(self, limit: int, wait: float) -> list[Stretch]:
        """Return up to `limit` records; raise `LogUnavailable` when a log is not the one read so far."""
        parts = await self._fetch(limit, wait)
        stretches = self._stretches(parts)
        sources = {part.partition: self._sources[part.partition] for part in parts}
        turned = [at for at, part in enumerate(parts) if sources[part.partition].get(part.way) != part.source]
        await self._verify({stretches[at].partition: stretches[at].begin for at in reversed(turned)})
        read = []
        for part, stretch in zip(parts, stretches, strict=True):
            if self._sources.get(part.partition) is sources[part.partition]:  # neither lost nor resumed meanwhile
                self._positions[part.partition] = stretch.end
                sources[part.partition][part.way] = part.source
                read.append(stretch)
        return read

    async def close(self) -> None:
        """Ask for nothing any more, and take nothing."""
        self._handover.leave(self._fetcher.take)
        await self._fetcher.close()

    def end(self, partition: Partition) -> int | None:
        """Return a partition's end by the last answer to a fetch; before the first, as it was when it resumed."""
        return self._fetcher.ends.get(partition, self._ends.get(partition))

    def refused(self) -> dict[str, str]:
        """Return the topics subscribed to that cannot be read, each with what is told of it."""
        cluster, subscribed = self._client.cluster, self._consumer.subscription()
        there = cluster.topics()
        forbidden = subscribed & cluster.unauthorized_topics | self._held.keys()
        return {topic: words(topic, TopicAuthorizationFailedError(), "read") for topic in forbidden} | {
            topic: words(topic, UnknownTopicOrPartitionError()) for topic in subscribed - there - forbidden
        }

    async def _fetch(self, limit: int, wait: float) -> list[Part]:
        if time.monotonic() >= self._hear_at:
            self._hear_at = time.monotonic() + _HEAR_EVERY_SECONDS
            await self._consumer.getmany(timeout_ms=0)
        try:
            return await self._fetcher.fetch(limit, wait)
        except TopicAuthorizationFailedError as error:
            refused = [partition for partition in self._positions if partition.topic in error.args]
            # one that was under way may be refused once more
            if not refused and not any(topic in error.args for topic in self._held):
                raise
            self._refuse(refused)
            return []

    def _refuse(self, partitions: Collection[Partition]) -> None:
        """Hold a topic's partitions until it may be read."""
        for partition in partitions:
            if partition.topic not in self._held:
                logger.error("%s; others are read on", words(partition.topic, TopicAuthorizationFailedError(), "read"))
            self._held[partition.topic] = partition
            self._positions.pop(partition, None)
            self._sources.pop(partition, None)
        self._fetcher.drop(partitions)

    async def _locate_readable(self, positions: Mapping[Partition, Position]) -> dict[Partition, Position]:
        """Return where to read on in topics that may be read."""
        try:
            return await self._locate(positions)
        except TopicAuthorizationFailedError:
            topics = {partition.topic for partition in positions}
        found: dict[Partition, Position] = {}
        for topic in topics:
            of_topic = {partition: at for partition, at in positions.items() if partition.topic == topic}
            try:
                found |= await self._locate(of_topic)
            except TopicAuthorizationFailedError:
                self._refuse(of_topic)
        return found

    async def _locate(self, positions: Mapping[Partition, Position]) -> dict[Partition, Position]:
        """Return where to read on. Ids come first: what is asked after them may be of a topic that is newer still."""
        ids = await self._ids(positions)
        first = await self._consumer.beginning_offsets([TopicPartition(*p) for p in positions])
        ends = await lineage.end_offsets(self._client, positions)
        lost = {p: _CUT_OFF for p, at in positions.items() if at.offset > ends[p]}
        lost |= await self._find_cut_off(positions) | _find_made_anew(positions, ids)
        self._ends |= ends
        return {
            p: _choose(p, at._replace(topic_id=ids.get(p.topic, at.topic_id)), first[TopicPartition(*p)], lost.get(p))
            for p, at in positions.items()
        }

    def _stretches(self, parts: Sequence[Part]) -> list[Stretch]:
        found, positions = [], dict(self._positions)
        for part in parts:
            begin = positions[part.partition]
            if begin.offset != part.begin:  # a read was given up in the middle
                raise LogUnavailable(f"{part.partition} is at {begin.offset}, and {part.begin} was read")
            end = Position(part.end, begin.topic_id, lineage.mark_of(part.records[-1]) if part.records else begin.last)
            positions[part.partition] = end
            found.append(Stretch(part.partition, begin, end, part.records))
        return found

    async def _verify(self, turned: Mapping[Partition, Position]) -> None:
        """Raise `LogUnavailable` when a log is another: of those that `turned` to another source all is asked at once.

        Topics are asked for now and then, as far as it is answered: while the new one is read as the old, nothing of
        it is lost, since it is the old one's id that is stored.
        """
        lost: Mapping[Partition, str] = {}
        if turned:
            lost = await self._find_cut_off(turned) | _find_made_anew(turned, await self._ids(turned))
        elif time.monotonic() >= self._verify_at:
            self._verify_at = time.monotonic() + _VERIFY_EVERY_SECONDS
            if self._consumer.subscription() - self._client.cluster.topics():
                self._client.force_metadata_update()  # a topic that is gone may be there again
            try:
                async with asyncio.timeout(_VERIFY_SECONDS):
                    await self._look_again()
                    lost = _find_made_anew(self._positions, await self._ids(self._positions))
            except (KafkaError, OSError) as error:
                logger.debug("not verified: %r", error)
        for (topic, number), what in lost.items():
            raise LogUnavailable(f"{topic}[{number}] is not what it was: {what}")

    async def _look_again(self) -> None:
        for topic, partition in self._held.items():
            if await lineage.may_read(self._client, partition):
                raise LogUnavailable(f"topic {topic} may be read again")

    async def _ids(self, partitions: Collection[Partition]) -> dict[str, uuid.UUID]:
        return await lineage.topic_ids(self._client, {partition.topic for partition in partitions})

    async def _find_cut_off(self, positions: Mapping[Partition, Position]) -> dict[Partition, str]:
        marks = {partition: at.last for partition, at in positions.items() if at.last is not None}
        there = await lineage.are_there(self._client, marks)
        return {partition: _CUT_OFF for partition, is_there in there.items() if not is_there}


def _find_made_anew(positions: Mapping[Partition, Position], ids: Mapping[str, uuid.UUID]) -> dict[Partition, str]:
    return {p: _MADE_ANEW for p, at in positions.items() if at.topic_id not in (None, ids.get(p.topic, at.topic_id))}


def _choose(partition: Partition, stored: Position, first: int, lost: str | None) -> Position:
    """Choose where to read on; `lost` says why what is stored is no place in the log any more."""
    if lost:
        logger.error("%s[%d]: %s; not at offset %d, it is read from %d", *partition, lost, stored.offset, first)
    elif 0 < stored.offset < first:
        words = "%s[%d] begins at %d, after our offset %d: retention took events we had not read"
        logger.error(words, *partition, first, stored.offset)
    return Position(first, topic_id=stored.topic_id) if lost or stored.offset < first else stored
