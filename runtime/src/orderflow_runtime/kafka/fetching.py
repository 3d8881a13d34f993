"""Asks the leaders of partitions for records, by fetch sessions (KIP-227), and only when somebody waits for them.

aiokafka's own fetches name every partition and read each in every answer, also where nobody takes what they bring. In a
session a leader is told what has changed since the last request, and answers with the partitions that have something
new: how many there are costs nothing. While a worker handles a batch nothing is asked for, unless the last answer was
large: more is under way then. Source: the Kafka protocol guide, "Fetch API", versions 7 to 11.
"""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    CorruptRecordException,
    KafkaError,
    NodeNotReadyError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.api import Request
from aiokafka.protocol.fetch import FetchRequest_v11

from orderflow_runtime.core.event_log import Partition, Record
from orderflow_runtime.kafka.aiokafka_compat import Batches, connection_to

logger = logging.getLogger(__name__)

MOST_OF_A_PARTITION_BYTES = 2 * 1024 * 1024
_MOST_BYTES = 8 * 1024 * 1024
_MANY = 100
"""After an answer with so many records more of them are expected."""
_AGAIN_SECONDS = 0.1
_NO_SESSION, _FIRST = 0, 0
_SESSION_GONE = (70, 71)
"""FETCH_SESSION_ID_NOT_FOUND and INVALID_FETCH_SESSION_EPOCH: the leader has forgotten it, or missed a request."""
_CONSUMER, _ANY_EPOCH, _ANY_BEGINNING, _READ_COMMITTED = -1, -1, -1, 1

Offsets = Mapping[Partition, int]


@dataclass(frozen=True, slots=True)
class Part:
    """What was read of a partition in one answer: its records from `begin` up to `end`, and where from."""

    partition: Partition
    begin: int
    end: int
    records: Sequence[Record]
    source: tuple[object, ...]
    """another one may have another log"""


class Session:
    """What one leader knows of what is read: requests carry changes alone. Its requests go out one after another."""

    def __init__(self) -> None:
        self._id = _NO_SESSION
        self.begin_anew()

    def begin_anew(self) -> None:
        """Ask for everything with the next request; what became of the last one is not known."""
        self._epoch = _FIRST
        self._told: dict[Partition, int] = {}

    def request(self, offsets: Offsets, wait_ms: int) -> "SessionFetch":
        """Return the request for records from these offsets on."""
        changed = {p: at for p, at in offsets.items() if self._told.get(p) != at}
        forgotten = [p for p in self._told if p not in offsets]
        self._told = dict(offsets)
        return SessionFetch(self._id, self._epoch, changed, forgotten, wait_ms)

    def goes_on(self, answer: Any) -> bool:
        """Take note of an answer; tell whether the session was known. Raise the answer's own error."""
        if answer.error_code in _SESSION_GONE:
            self._id = _NO_SESSION
            self.begin_anew()
            return False
        if answer.error_code:
            raise for_code(answer.error_code)
        self._id = answer.session_id
        if self._id == _NO_SESSION:  # the leader keeps no more sessions
            self.begin_anew()
        else:
            self._epoch = self._epoch % 0x7FFFFFFF + 1
        return True


class SessionFetch(Request[FetchRequest_v11]):  # type: ignore[misc]  # aiokafka has no types
    """A fetch request in a session, which aiokafka's own has no words for."""

    API_KEY = 1

    def __init__(
        self, session: int, epoch: int, changed: Offsets, forgotten: Collection[Partition], wait_ms: int
    ) -> None:
        self.session, self.epoch, self.changed, self.forgotten = session, epoch, changed, forgotten
        self._wait_ms = wait_ms

    def build(self, request_struct_class: type[FetchRequest_v11]) -> FetchRequest_v11:
        """Return it in the form of the protocol."""
        asked = (
            (p, (p.number, _ANY_EPOCH, at, _ANY_BEGINNING, MOST_OF_A_PARTITION_BYTES)) for p, at in self.changed.items()
        )
        forgotten = ((p, p.number) for p in self.forgotten)
        limits = (self._wait_ms, 1, _MOST_BYTES, _READ_COMMITTED)
        return request_struct_class(
            _CONSUMER, *limits, self.session, self.epoch, _by_topic(asked), _by_topic(forgotten), ""
        )


def _by_topic(found: Iterable[tuple[Partition, Any]]) -> list[tuple[str, list[Any]]]:
    topics: defaultdict[str, list[Any]] = defaultdict(list)
    for partition, one in found:
        topics[partition.topic].append(one)
    return list(topics.items())


class Fetcher:
    """Reads partitions through one client, each on from where `seek` put it."""

    def __init__(self, client: AIOKafkaClient) -> None:
        self._client = client
        self._next: dict[Partition, int] = {}
        self._sessions: defaultdict[int, Session] = defaultdict(Session)
        self._asking: dict[int, asyncio.Task[None]] = {}
        self._parts: deque[Part] = deque()
        self.ends: dict[Partition, int] = {}

    def seek(self, partition: Partition, offset: int) -> None:
        """Read a partition from here on; what was fetched of it elsewhere is dropped."""
        self.drop([partition])
        self._next[partition] = offset

    def drop(self, partitions: Collection[Partition]) -> None:
        """Read these no more."""
        for partition in partitions:
            self._next.pop(partition, None)
            self.ends.pop(partition, None)
        self._parts = deque(part for part in self._parts if part.partition not in partitions)

    async def fetch(self, limit: int, wait: float) -> list[Part]:
        """Return what is there, up to `limit` records; wait so many seconds for the first. Raise aiokafka's errors."""
        if not self._parts:
            await self._wait(wait)
        parts, count = self._take(limit)
        if count >= _MANY and not self._parts:
            self._ask(wait)
        return parts

    async def close(self) -> None:
        """Ask no more."""
        asking, self._asking = self._asking, {}
        for task in asking.values():
            task.cancel()
        await asyncio.gather(*asking.values(), return_exceptions=True)

    def _take(self, limit: int) -> tuple[list[Part], int]:
        taken, count = [], 0
        while self._parts and count < limit:
            part = self._parts.popleft()
            if len(part.records) > limit - count:
                part, rest = _split(part, limit - count)
                self._parts.appendleft(rest)
            taken.append(part)
            count += len(part.records)
        return taken, count

    async def _wait(self, seconds: float) -> None:
        self._collect()
        if self._parts:
            return
        self._ask(seconds)
        if self._asking:
            await asyncio.wait(self._asking.values(), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            self._collect()
        else:
            await asyncio.sleep(seconds)

    def _collect(self) -> None:
        """Make room for new requests to who has answered; raise what went wrong with one."""
        for leader in [leader for leader, task in self._asking.items() if task.done()]:
            self._asking.pop(leader).result()

    def _ask(self, seconds: float) -> None:
        """Have each leader asked that is not being asked already."""
        leaders: defaultdict[int, dict[Partition, int]] = defaultdict(dict)
        for partition, offset in self._next.items():
            leader = self._client.cluster.leader_for_partition(TopicPartition(*partition))
            if leader is None or leader < 0:
                self._client.force_metadata_update()
            else:
                leaders[leader][partition] = offset
        for leader, offsets in leaders.items():
            if leader not in self._asking:
                self._asking[leader] = asyncio.create_task(self._fetch_from(leader, offsets, seconds))

    async def _fetch_from(self, leader: int, offsets: Offsets, seconds: float) -> None:
        session = self._sessions[leader]
        try:
            if not await self._client.ready(leader):
                raise NodeNotReadyError(f"node {leader}")
            connection = connection_to(self._client, leader)
            answer = await self._client.send(leader, session.request(offsets, int(seconds * 1000)))
        except (KafkaError, OSError) as error:
            session.begin_anew()
            logger.warning("nothing is read from node %d, trying again: %r", leader, error)
            await asyncio.sleep(_AGAIN_SECONDS)
            return
        except asyncio.CancelledError:
            session.begin_anew()
            raise
        if session.goes_on(answer):
            await self._read(answer, offsets, connection)

    async def _read(self, answer: Any, offsets: Offsets, connection: object) -> None:
        """Keep what an answer brought of partitions that still stand where it was asked for; raise what went wrong."""
        errors: dict[Partition, int] = {}
        for topic, partitions in answer.topics:
            for number, error, end, _, _, aborted, _, data in partitions:
                partition = Partition(topic, number)
                if self._next.get(partition) != offsets.get(partition):
                    continue
                if error:
                    errors[partition] = error
                    continue
                self.ends[partition] = end
                if part := read_part(partition, offsets[partition], data, aborted or (), connection):
                    self._next[partition] = part.end
                    self._parts.append(part)
        if errors:
            await self._bear(errors, offsets)

    async def _bear(self, errors: Mapping[Partition, int], offsets: Offsets) -> None:
        for partition, code in errors.items():
            kind = for_code(code)
            if kind is TopicAuthorizationFailedError:
                raise kind(partition.topic)
            if kind is OffsetOutOfRangeError:
                raise kind({partition: offsets[partition]})
            logger.info("%s[%d] is not read for now: %s", *partition, kind.__name__)
        self._client.force_metadata_update()
        await asyncio.sleep(_AGAIN_SECONDS)


def _split(part: Part, count: int) -> tuple[Part, Part]:
    first, rest = part.records[:count], part.records[count:]
    middle = rest[0].offset
    return (
        Part(part.partition, part.begin, middle, first, part.source),
        Part(part.partition, middle, part.end, rest, part.source),
    )


def read_part(
    partition: Partition, offset: int, data: bytes, aborted: Iterable[tuple[int, int]], connection: object
) -> Part | None:
    """Return the committed records from an offset on, None where no batch is whole.

    `aborted` are transactions by their producer and first offset. Raise `CorruptRecordException`.
    """
    begin, records, batches = offset, [], Batches(data)
    aborting: set[int] = set()
    to_come = deque(sorted(aborted, key=lambda one: one[1]))
    while batches.has_next():
        batch = batches.next_batch()
        if not batch.validate_crc():
            raise CorruptRecordException(f"{partition}: the batch at offset {batch.base_offset} is damaged")
        while to_come and to_come[0][1] <= batch.base_offset:
            aborting.add(to_come.popleft()[0])
        if batch.is_control_batch:
            aborting.discard(batch.producer_id)
        elif not (batch.is_transactional and batch.producer_id in aborting):
            records += [_record(partition, one) for one in batch if one.offset >= begin]
        offset = max(offset, batch.next_offset)
    return Part(partition, begin, offset, records, (batches.leader_epoch, connection)) if offset > begin else None


def _record(partition: Partition, found: Any) -> Record:
    return Record(partition, found.offset, found.key, found.headers, found.value, found.timestamp)
