"""Writes messages to Kafka by partition, and sorts out what is refused from what has only to be tried again.

A partition's batches are written one after another: a broker takes a batch behind one that it has refused, from a
producer that it does not know yet. After a failure a new producer goes on with what is left, in the same order, since
the old one counts what was refused among its sequence numbers.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from orderflow_runtime.core.event_log import (
    BATCH_HEAD_BYTES,
    LogUnavailable,
    Message,
    Partition,
    Record,
    Refusal,
    RefusedError,
    batch_bytes,
    partition_of,
    record_bytes,
)
from orderflow_runtime.kafka.aiokafka_compat import close_producer, connection_to
from orderflow_runtime.kafka.handover import Handover, Part
from orderflow_runtime.kafka.refusals import Whose, whose, words

logger = logging.getLogger(__name__)

BATCH_BYTES = 1_000_000
"""Below the broker's default message.max.bytes of 1,048,588."""
_ANSWER_SECONDS = 30.0
"""A producer that met a dying broker can wait for ever for an answer that nobody will give: a new one asks again."""
_ALIVE_SECONDS = 5.0
_BY_BROKER = 1
"""The type of a record's timestamp that its topic has the broker set."""
_LIMIT_SECONDS = 300.0
"""A smaller limit that a topic turned out to have is tried again after so long: it may have been raised."""

_Place = tuple[int, Message]
"""A message and its place among those to publish."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """What became of a partition: `left` were not written, because of `error` on the batch that they begin with."""

    partition: Partition
    left: Sequence[_Place]
    batch: Sequence[_Place]
    error: BaseException


class Writer:
    """A producer, made when it is needed and made anew after a failure; several tasks write by it."""

    def __init__(self, connect: Callable[[], Awaitable[AIOKafkaProducer]], handover: Handover) -> None:
        self._connect = connect
        self._handover = handover
        self._starting = asyncio.Lock()
        self._producer: AIOKafkaProducer | None = None
        self._limits: dict[str, tuple[int, float]] = {}

    async def producer(self) -> AIOKafkaProducer:
        """Return the producer; after a failure the first who asks makes a new one for all."""
        async with self._starting:
            if self._producer is None:
                self._producer = await self._connect()
            return self._producer

    async def publish(self, messages: Sequence[Message]) -> None:
        """Write all, in order by topic and key.

        Raise `LogUnavailable` when all has to be tried again, `RefusedError` when all but some are written.
        """
        left: list[_Place] = list(enumerate(messages))
        refusals: dict[int, Refusal] = {}
        while left:
            failures = await self._write(left, refusals)
            left = []
            for failure in failures:
                left += self._sort_out(failure, refusals)
            left = [place for place in sorted(left, key=lambda one: one[0]) if place[0] not in refusals]
        if refusals:
            raise RefusedError([refusals[at] for at in sorted(refusals)])

    async def close(self) -> None:
        """Let the producer go; what it has not written is in the outbox."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await close_producer(producer)

    async def _write(self, places: Sequence[_Place], refusals: dict[int, Refusal]) -> list[_Failure]:
        """Write what can be written now and return what failed, by partition."""
        try:
            producer = await self.producer()
            groups = await self._groups(producer, places, refusals)
            writing = {
                partition: asyncio.create_task(self._write_group(producer, partition, group))
                for partition, group in groups.items()
            }
            if not writing:
                return []
            done, late = await _wait(writing.values())
        except (KafkaError, OSError) as error:
            await self.close()
            raise LogUnavailable(f"publish: {error!r}") from error
        failures = [failure for task in done if (failure := task.result())]
        if len(late) == len(writing) and not await _answers(producer):
            await self.close()
            raise LogUnavailable(f"publish: no answer in {_ANSWER_SECONDS:.0f} s")
        if failures or late:
            await self.close()
        for partition, task in writing.items():
            if task in late:
                reason = f"Kafka takes nothing for topic {partition.topic}: no answer in {_ANSWER_SECONDS:.0f} s"
                refusals |= {at: Refusal(at, False, reason) for at, _ in groups[partition]}
        return failures

    async def _groups(
        self, producer: AIOKafkaProducer, places: Sequence[_Place], refusals: dict[int, Refusal]
    ) -> dict[Partition, list[_Place]]:
        """Deal messages out to partitions; those whose topic nobody may ask about, or is not there, are refused."""
        groups: dict[Partition, list[_Place]] = {}
        for topic, found in groupby(sorted(places, key=lambda place: place[1].topic), lambda place: place[1].topic):
            mine = sorted(found, key=lambda place: place[0])
            try:
                count = len(await producer.partitions_for(topic))
            except KafkaError as error:
                if whose(error) is not Whose.TOPIC:
                    raise
                refusals |= {at: Refusal(at, False, words(topic, error)) for at, _ in mine}
                continue
            for place in mine:
                partition = Partition(topic, partition_of(place[1].key or b"", count))
                groups.setdefault(partition, []).append(place)
        return groups

    async def _write_group(
        self, producer: AIOKafkaProducer, partition: Partition, group: Sequence[_Place]
    ) -> _Failure | None:
        """Write a partition's messages, and return the first batch that was not taken with all behind it."""
        batches = self._batches(partition.topic, group)
        for number, batch in enumerate(batches):
            messages, now = [message for _, message in batch], int(time.time() * 1000)
            before = _connection(producer, partition)
            try:
                built = _build(producer, messages, now)
                written = await (await producer.send_batch(built, partition.topic, partition=partition.number))
            except (KafkaError, OSError) as error:
                left = [place for later in batches[number:] for place in later]
                return _Failure(partition, left, batch, error)
            after = _connection(producer, partition)
            source = after if after is before else object()
            self._handover.offer(_part(partition, messages, written, now, source))
        return None

    def _sort_out(self, failure: _Failure, refusals: dict[int, Refusal]) -> list[_Place]:
        """Note what is refused of a partition and return what has to be written again; raise `LogUnavailable`."""
        topic, error = failure.partition.topic, failure.error
        match whose(error):
            case Whose.CLUSTER:
                raise LogUnavailable(f"publish to {topic}: {error!r}") from error
            case Whose.TOPIC if isinstance(error, KafkaError):
                refusals |= {at: Refusal(at, False, words(topic, error)) for at, _ in failure.left}
                return []
        if len(failure.batch) > 1:
            self._limits[topic] = max(1, batch_bytes([message for _, message in failure.batch]) // 2), time.monotonic()
            return list(failure.left)
        ((at, message),) = failure.batch
        reason = (
            f"topic {topic} takes no message like this one of {batch_bytes([message])} bytes: {type(error).__name__}"
        )
        refusals[at] = Refusal(at, True, reason)
        return list(failure.left)

    def _batches(self, topic: str, group: Sequence[_Place]) -> list[list[_Place]]:
        limit, since = self._limits.get(topic, (BATCH_BYTES, 0.0))
        if limit < BATCH_BYTES and time.monotonic() - since > _LIMIT_SECONDS:
            del self._limits[topic]
            limit = BATCH_BYTES
        batches: list[list[_Place]] = []
        room = 0
        for place in group:
            needed = record_bytes(place[1])
            if needed > room or not batches:
                batches.append([])
                room = limit - BATCH_HEAD_BYTES
            batches[-1].append(place)
            room -= needed
        return batches


async def _answers(producer: AIOKafkaProducer) -> bool:
    """Return whether the cluster is there, so that what does not answer is a partition."""
    try:
        async with asyncio.timeout(_ALIVE_SECONDS):
            await producer.client.fetch_all_metadata()
    except (KafkaError, OSError):
        return False
    return True


_Writing = asyncio.Task[_Failure | None]


async def _wait(tasks: Collection[_Writing]) -> tuple[set[_Writing], set[_Writing]]:
    """Wait for all, but not for ever; end those that are late, and return them beside those that are done."""
    try:
        done, late = await asyncio.wait(tasks, timeout=_ANSWER_SECONDS)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        raise
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    return done, late


def _build(producer: AIOKafkaProducer, messages: Sequence[Message], now: int) -> Any:
    built = producer.create_batch()
    for message in messages:
        built.append(key=message.key, value=message.value, headers=message.headers, timestamp=now)
    return built


def _connection(producer: AIOKafkaProducer, partition: Partition) -> object:
    """Return the connection by which a partition is written to now; where there is none, something like no other.

    Who was it that acknowledged, where it is another after the write than before, is not known.
    """
    leader = producer.client.cluster.leader_for_partition(TopicPartition(*partition))
    return connection_to(producer.client, leader) or object()


def _part(partition: Partition, messages: Sequence[Message], written: RecordMetadata, now: int, source: object) -> Part:
    """Return the records as Kafka has them now: `now` is what their producer said of the time."""
    begin, timestamp = written.offset, written.timestamp if written.timestamp_type == _BY_BROKER else now
    records = [
        Record(partition, begin + place, message.key, message.headers, message.value, timestamp)
        for place, message in enumerate(messages)
    ]
    return Part(partition, begin, begin + len(records), records, "written", source)
