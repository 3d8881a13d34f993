"""All that touches the inside of aiokafka, and so depends on its version: nothing else in the runtime does.

`install` puts parts of ours in the place of its own, for every client of the process:

- A connection tells why it failed. uvloop refuses a write on a transport that has just closed with RuntimeError, where
  asyncio's own lets it pass; aiokafka reckons with OSError alone, and the task that keeps the consumer in its group
  would die of it.
- A client has reached a cluster only when that names a broker.

`Batches` reads what `fetching.py` is answered, and tells in which epoch of its partition's leader each batch was
written, which aiokafka passes over. Kafka takes header names of any bytes, and aiokafka cannot read a batch in which
one is not UTF-8: a single record would hold up its partition for ever. Such a batch is read here, its odd names with
lone surrogates for what is not text, which `headers.py` turns into text. All other batches aiokafka reads.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from struct import Struct
from typing import Any

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, conn
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.consumer import consumer as consumers
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.producer import producer as producers
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.util import decode_varint

from orderflow_runtime.kafka.clients import heard
from orderflow_runtime.settings import MisconfiguredError

logger = logging.getLogger(__name__)

KNOWN = "0.14."
"""The versions whose inside is known; pyproject.toml asks for the same."""
_CLOSE_SECONDS = 5.0
_START = Struct(">qi")
"""A batch's base offset, and the length of what follows."""
_EPOCH = Struct(">i")


def install() -> None:
    """Give every aiokafka client of this process the parts below; raise `MisconfiguredError` when they may not fit."""
    if not aiokafka.__version__.startswith(KNOWN):
        raise MisconfiguredError(
            f"aiokafka {aiokafka.__version__} is installed, and this version of OrderFlow works with {KNOWN}x alone: "
            "install what its requirements.lock names"
        )
    conn.AIOKafkaConnection = Connection
    consumers.AIOKafkaClient = producers.AIOKafkaClient = Client


def client_of(consumer: AIOKafkaConsumer) -> AIOKafkaClient:
    """Return the client by which a consumer asks."""
    return consumer._client


def connection_to(client: AIOKafkaClient, node: int) -> object:
    """Return the connection by which a node is asked now, or None."""
    return client._conns.get((node, ConnectionGroup.DEFAULT))


async def wait_for_assignment(consumer: AIOKafkaConsumer) -> None:
    """Wait until the group has dealt the consumer its partitions, be it none."""
    await consumer._subscription.wait_for_assignment()


async def close_consumer(consumer: AIOKafkaConsumer) -> None:
    """Leave the group at once and end; where that fails or takes too long, end what is left running."""
    coordinator, fetcher = consumer._coordinator, consumer._fetcher
    if coordinator is not None:
        # aiokafka keeps a static member's seat until its session times out; a graceful stop gives it up
        coordinator._group_instance_id = None
    if await _is_closed(consumer.stop()):
        return
    if coordinator is not None:
        for task in (coordinator._coordination_task, coordinator._heartbeat_task, coordinator._commit_refresh_task):
            if task is not None:
                task.cancel()
    if fetcher is not None:
        await _is_closed(fetcher.close())
    await _is_closed(consumer._client.close())


async def close_producer(producer: AIOKafkaProducer) -> None:
    """End; what it does not get rid of in time is let go, for the outbox has it too."""
    if not await _is_closed(producer.stop()):
        if producer._sender.sender_task is not None:
            producer._sender.sender_task.cancel()
        await _is_closed(producer.client.close())


async def _is_closed(closing: Coroutine[Any, Any, None]) -> bool:
    """Wait for an end; tell whether it came in time and went well.

    In a task of its own: aiokafka waits for tasks that it has cancelled, and their cancellation is not ours.
    """
    task = asyncio.create_task(closing)
    try:
        done, _ = await asyncio.wait({task}, timeout=_CLOSE_SECONDS)
    finally:
        task.cancel()
    if not done or task.cancelled():
        return False
    if error := task.exception():
        logger.info("while closing: %r", error)
    return error is None


def _or_lost(send: Callable[..., Any]) -> Callable[..., Any]:
    def send_or_close(self: "Connection", *request: Any, **options: Any) -> Any:
        try:
            return send(self, *request, **options)
        except RuntimeError as error:
            self.close(reason=conn.CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} broken: {error}") from error

    return send_or_close


class Connection(conn.AIOKafkaConnection):  # type: ignore[misc]  # aiokafka has no types
    """A connection that tells why it failed, and is lost, which is no error of ours, when it closes under a write."""

    async def connect(self) -> Any:
        """Connect, and authenticate where asked to."""
        failures = heard.get()
        try:
            connected = await super().connect()
        except (OSError, KafkaError) as error:
            if failures is not None:
                failures.append(error)
            raise
        if failures is not None:
            failures.clear()
        return connected

    send = _or_lost(conn.AIOKafkaConnection.send)
    _send_sasl_token = _or_lost(conn.AIOKafkaConnection._send_sasl_token)


class Client(AIOKafkaClient):  # type: ignore[misc]  # aiokafka has no types
    """A client that has reached the cluster only when it knows a broker.

    A broker that stood still or has just come up answers and names none, itself included, until the controllers let
    it in. aiokafka goes on with that: a consumer dies of an AssertionError, a producer asks again without a pause.
    """

    async def bootstrap(self) -> None:
        """Ask for the cluster's brokers; raise `KafkaConnectionError` when there is no answer or none in it."""
        await super().bootstrap()
        if not self.cluster.brokers():
            raise KafkaConnectionError(f"{self.hosts} names no broker")


class Batches:
    """The batches in one partition's part of a fetch response; the last may be cut off.

    `leader_epoch` is that of the batch taken last, -1 before the first.
    """

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self.leader_epoch = -1

    def size_in_bytes(self) -> int:
        """Return what is left to read."""
        return len(self._data)

    def has_next(self) -> bool:
        """Return whether a whole batch is left."""
        return len(self._data) >= _START.size and len(self._data) >= self._length()

    def next_batch(self) -> "Batch":
        """Take the next batch."""
        length = self._length()
        batch, self._data = bytes(self._data[:length]), self._data[length:]
        (self.leader_epoch,) = _EPOCH.unpack_from(batch, _START.size)
        return Batch(batch)

    def _length(self) -> int:
        return _START.size + int(_START.unpack_from(self._data)[1])


class Batch:
    """A batch as aiokafka's own, but for header names."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._batch = DefaultRecordBatch(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        """Take a control batch's record."""
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._batch))
        except UnicodeDecodeError:
            return _Reader(_DefaultRecordBatchPy(self._data)).records()


class _Reader:
    """Reads the records of a batch; the broker has checked their structure."""

    def __init__(self, batch: Any) -> None:
        batch._maybe_uncompress()
        self._batch = batch
        self._buffer, self._at = batch._buffer, batch._pos

    def records(self) -> Iterator[Any]:
        for _ in range(self._batch._num_records):
            yield self._record()

    def _record(self) -> Any:
        self._number()  # the record's length
        self._at += 1  # its attributes, which have no meaning yet
        timestamp = self._timestamp(self._number())
        offset = self._batch.base_offset + self._number()
        key, value = self._bytes(), self._bytes()
        headers = [self._header() for _ in range(self._number())]
        return _DefaultRecordPy(offset, timestamp, self._batch.timestamp_type, key, value, headers)

    def _timestamp(self, delta: int) -> int:
        by_broker = self._batch.timestamp_type == self._batch.LOG_APPEND_TIME
        return int(self._batch.max_timestamp if by_broker else self._batch.first_timestamp + delta)

    def _header(self) -> tuple[str, bytes | None]:
        return (self._bytes() or b"").decode(errors="surrogateescape"), self._bytes()

    def _bytes(self) -> bytes | None:
        length = self._number()
        if length < 0:
            return None
        start, self._at = self._at, self._at + length
        return bytes(self._buffer[start : self._at])

    def _number(self) -> int:
        number: int
        number, self._at = decode_varint(self._buffer, self._at)
        return number
