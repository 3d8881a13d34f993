"""Asks the leaders of partitions for records, by fetch sessions (KIP-227), and only when somebody waits for them.

aiokafka's own fetches name every partition and read each in every answer, also where nobody takes what they bring. In a
session a leader is told what has changed since the last request, and answers with the partitions that have something
new: how many there are costs nothing. While a worker handles a batch nothing is asked for, unless the last answer was
large: more is under way then. What the process itself has written is handed in (`handover.py`), and partitions that get
all of theirs in this way are looked at now and then. Source: the Kafka protocol guide, "Fetch API", versions 7 to 11.
"""

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping
from contextvars import copy_context
from dataclasses import replace
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

from orderflow_runtime.backoff import Backoff
from orderflow_runtime.core.event_log import Partition, Record
from orderflow_runtime.kafka.aiokafka_compat import Batches, connection_to
from orderflow_runtime.kafka.handover import Part
from orderflow_runtime.kafka.origins import Origins

logger = logging.getLogger(__name__)

MOST_OF_A_PARTITION_BYTES = 2 * 1024 * 1024
_MOST_BYTES = 8 * 1024 * 1024
_MANY = 100
"""After an answer with so many records more of them are expected."""
_MOST_HANDED_BYTES = 2 * 1024 * 1024
"""With so much not taken yet nothing more is handed in: the log keeps it."""
_RECORD_BYTES = 500
"""What a record takes beside its value, about."""
_AGAIN_SECONDS, _LONGEST_AGAIN_SECONDS = 0.1, 0.5
_LOOK_EVERY_SECONDS = 0.5
_ASK_EVERY_SECONDS = 0.05
"""What is handed in without a pause keeps Kafka from being asked for no longer."""
_NO_SESSION, _FIRST = 0, 0
_SESSION_GONE = (70, 71)
"""FETCH_SESSION_ID_NOT_FOUND and INVALID_FETCH_SESSION_EPOCH: the leader has forgotten it, or missed a request."""
_CONSUMER, _ANY_EPOCH, _ANY_BEGINNING, _READ_COMMITTED = -1, -1, -1, 1

Offsets = Mapping[Partition, int]


class Session:
    """What one leader knows of what is read: requests carry changes alone. Its requests go out one after another."""

    def __init__(self) -> None:
        self._id = _NO_SESSION
        self.look_at = 0.0
        """when it is asked for local partitions again"""
        self.rest = Backoff(_AGAIN_SECONDS, _LONGEST_AGAIN_SECONDS)
        """how long it is let alone when it cannot be asked"""
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
        self.wait_ms = wait_ms

    def build(self, request_struct_class: type[FetchRequest_v11]) -> FetchRequest_v11:
        """Return it in the form of the protocol."""
        asked = (
            (p, (p.number, _ANY_EPOCH, at, _ANY_BEGINNING, MOST_OF_A_PARTITION_BYTES)) for p, at in self.changed.items()
        )
        forgotten = ((p, p.number) for p in self.forgotten)
        limits = (self.wait_ms, 1, _MOST_BYTES, _READ_COMMITTED)
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
        self._context = copy_context()
        """where the consumer is started: by it is heard why a connection fails"""
        self._next: dict[Partition, int] = {}
        self._sessions: defaultdict[int, Session] = defaultdict(Session)
        self._asking: dict[int, asyncio.Task[None]] = {}
        self._parts: deque[Part] = deque()
        self._size = 0
        """bytes in parts, about"""
        self._ask_at = 0.0
        self._handed: asyncio.Future[None] | None = None
        """who waits is told by it that something was handed in, or is to be asked for"""
        self._origins = Origins()
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
            self._origins.forget(partition)
        self._parts = deque(part for part in self._parts if part.partition not in partitions)
        self._size = sum(map(_size, self._parts))

    def take(self, part: Part) -> None:
        """Take what this process has written, where it is the next to be read; the rest is known to be in the log."""
        partition, at = part.partition, self._next.get(part.partition)
        if at is None:
            return
        fits = at == part.begin and self._size < _MOST_HANDED_BYTES
        self.ends[partition] = max(part.end, self.ends.get(partition, 0))
        self._origins.note_own(partition, 0 if fits else len(part.records), time.monotonic())
        if fits:
            self._add(part)
        if at < part.end and self._handed is not None and not self._handed.done():
            self._handed.set_result(None)

    async def fetch(self, limit: int, wait: float) -> list[Part]:
        """Return what is there, up to `limit` records; wait so many seconds for the first. Raise aiokafka's errors."""
        if not self._parts:
            await self._wait(wait)
        elif time.monotonic() >= self._ask_at:
            self._collect()
            self._ask(wait)
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
        self._size -= sum(map(_size, taken))
        return taken, count

    def _add(self, part: Part) -> None:
        self._next[part.partition] = part.end
        self.ends[part.partition] = max(part.end, self.ends.get(part.partition, 0))
        self._parts.append(part)
        self._size += _size(part)

    async def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self._collect()
        while not self._parts and (left := until - time.monotonic()) > 0:
            self._ask(left)
            self._handed = asyncio.get_running_loop().create_future()
            waiting = {self._handed, *self._asking.values()}
            timeout = left if self._asking else min(left, _LOOK_EVERY_SECONDS)
            await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            self._collect()

    def _collect(self) -> None:
        """Make room for new requests to who has answered; raise what went wrong with one."""
        for leader in [leader for leader, task in self._asking.items() if task.done()]:
            self._asking.pop(leader).result()

    def _ask(self, seconds: float) -> None:
        """Have each leader asked that is not being asked already, and for local partitions only now and then."""
        now = time.monotonic()
        self._ask_at = now + _ASK_EVERY_SECONDS
        for leader, offsets in self._by_leader().items():
            if leader in self._asking:
                continue
            session, wait = self._sessions[leader], seconds
            local = {p for p in self._origins.local(offsets.keys(), now) if offsets[p] >= self.ends.get(p, 0)}
            if local and now < session.look_at:
                offsets, wait = {p: at for p, at in offsets.items() if p not in local}, session.look_at - now
            else:
                self._origins.judge(offsets.keys(), now)
                session.look_at, wait = now + _LOOK_EVERY_SECONDS, 0 if local else seconds
            if offsets:
                fetching = self._fetch_from(leader, offsets, min(wait, seconds))
                self._asking[leader] = asyncio.create_task(fetching, context=self._context)

    def _by_leader(self) -> Mapping[int, dict[Partition, int]]:
        leaders: defaultdict[int, dict[Partition, int]] = defaultdict(dict)
        for partition, offset in self._next.items():
            leader = self._client.cluster.leader_for_partition(TopicPartition(*partition))
            if leader is None or leader < 0:
                self._client.force_metadata_update()
            else:
                leaders[leader][partition] = offset
        return leaders

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
            await asyncio.sleep(session.rest.next_wait())
            return
        except asyncio.CancelledError:
            session.begin_anew()
            raise
        session.rest.reset()
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
                    self._add(part)
                    self._origins.note_fetched(partition, len(part.records))
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


def _size(part: Part) -> int:
    return sum(_RECORD_BYTES + len(record.value or b"") for record in part.records)


def _split(part: Part, count: int) -> tuple[Part, Part]:
    first, rest = part.records[:count], part.records[count:]
    middle = rest[0].offset
    return replace(part, end=middle, records=first), replace(part, begin=middle, records=rest)


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
    if offset == begin:
        return None
    return Part(partition, begin, offset, records, "fetched", (batches.leader_epoch, connection))


def _record(partition: Partition, found: Any) -> Record:
    return Record(partition, found.offset, found.key, found.headers, found.value, found.timestamp)
