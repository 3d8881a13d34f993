"""The event log as the worker sees it: a `Consumer` of records, a `Producer` of messages. `kafka_log.py` is both."""

import uuid
import zlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec

from orderflow_contracts.envelope import Header
from orderflow_runtime.core.retryable import Retryable


class Partition(NamedTuple):
    """A topic's partition; leases, offsets and everything that waits belong to one."""

    topic: str
    number: int


def partition_of(key: bytes, partitions: int) -> int:
    """Choose a key's partition: CRC-32, as librdkafka's `consistent` partitioner does."""
    return zlib.crc32(key) % partitions


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it was read."""

    partition: Partition
    offset: int
    key: bytes | None
    headers: Sequence[Header]
    value: bytes | None
    timestamp: int = -1
    """by its producer or its broker, in milliseconds since 1970; -1 for none"""


class Mark(NamedTuple):
    """A record by its offset, and a checksum that tells it from another at the same offset."""

    offset: int
    checksum: int


class Position(NamedTuple):
    """A place in a partition's log: the next offset to read, and what tells whether the log is still the same.

    That are the topic's id (KIP-516) and the last record before; None where they are not known.
    """

    offset: int
    topic_id: uuid.UUID | None = None
    last: Mark | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was read of a partition: its records from `begin` up to `end`, in order.

    Offsets without a record belong to it too: ends of transactions, what was aborted, what compaction took.
    """

    partition: Partition
    begin: Position
    end: Position
    records: Sequence[Record]


class Message(msgspec.Struct, frozen=True, array_like=True):
    """One record to write. Messages with the same topic and key stay in order.

    `parent_span_ids` stand where its trace is recorded: those of the next span above the one that sends it, and of the
    nearest that another service told of.
    """

    topic: str
    key: bytes | None
    headers: list[Header]
    value: bytes
    parent_span_ids: tuple[str, str] | None = None

    def left_behind(self) -> "Message":
        """Return it as another sends it than who wrote it, with whom the next span above may have died."""
        if self.parent_span_ids is None:
            return self
        return msgspec.structs.replace(self, parent_span_ids=(self.parent_span_ids[1],) * 2)


BATCH_HEAD_BYTES = 100
_RECORD_BYTES, _HEADER_BYTES = 40, 10
"""The most that Kafka's format adds to a batch, a record and a header (protocol guide, "Record Batch")."""


def record_bytes(message: Message) -> int:
    """Return how many bytes a message takes in a batch, at most."""
    headers = sum(len(name) + len(value or b"") + _HEADER_BYTES for name, value in message.headers)
    return _RECORD_BYTES + len(message.key or b"") + len(message.value) + headers


def batch_bytes(messages: Sequence[Message]) -> int:
    """Return how many bytes a batch of these takes, at most."""
    return BATCH_HEAD_BYTES + sum(map(record_bytes, messages))


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Message])
_header_decoder = msgspec.msgpack.Decoder(list[Header])


def pack(messages: Sequence[Message]) -> bytes:
    """Make one outbox row of messages (msgpack)."""
    return _encoder.encode(messages)


def unpack(row: bytes) -> list[Message]:
    """Return the messages of an outbox row."""
    return _decoder.decode(row)


def pack_headers(headers: Sequence[Header]) -> bytes:
    """Make the stored form of record headers (msgpack)."""
    return _encoder.encode(headers)


def unpack_headers(stored: bytes) -> list[Header]:
    """Give back record headers."""
    return _header_decoder.decode(stored)


class LogUnavailable(Retryable):
    """Kafka does not answer or refuses for now; what was to be published must be published again.

    Example:
        >>> Faults().add("publish", LogUnavailable("the broker is away"))
    """


PATIENCE_SECONDS = 30.0
"""For who does not let us in; then the process ends, and its next start reads its credentials anew."""


class LogRefuses(LogUnavailable):
    """Kafka does not let this service in, or shows a certificate that is not trusted: somebody has to mend that."""


class Refusal(NamedTuple):
    """A message that was not written: its place among those to publish, whether it is to blame itself, and why."""

    place: int
    own: bool
    reason: str


class RefusedError(Exception):
    """Kafka has taken all messages but these, and trying them again at once would not help."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        super().__init__("; ".join(sorted({refusal.reason for refusal in refusals})))
        self.refusals = refusals


Revoked = Callable[[Collection[Partition]], Awaitable[None]]


class Consumer(Protocol):
    """A member of a group, which deals its members the partitions to read. All methods belong to one event loop."""

    async def start(self, on_revoked: Revoked) -> None:
        """Join the group. `on_revoked` is awaited before partitions go to another member."""
        ...

    def assigned(self) -> frozenset[Partition]:
        """Return the partitions that are this member's now; none of them is read before `resume`."""
        ...

    def joined(self) -> bool:
        """Return whether the group has given this member its partitions, be it none."""
        ...

    def unread(self) -> Mapping[str, str]:
        """Return the topics subscribed to that cannot be read, with why and what to do; the others are read."""
        ...

    async def resume(self, positions: Mapping[Partition, Position]) -> Mapping[Partition, Position]:
        """Read these partitions from these positions on; gives from where really, of those that can be read."""
        ...

    async def fetch(self, limit: int, wait: float) -> Sequence[Stretch]:
        """Wait up to `wait` seconds and give at most `limit` records, in stretches of the partitions that moved.

        Each begins where the one before of its partition ended, or where that was resumed.
        """
        ...

    async def report(self, offsets: Mapping[Partition, int]) -> None:
        """Tell Kafka how far we are, for lag tools alone; failures are ignored."""
        ...

    def ends(self) -> Mapping[Partition, int]:
        """Return the next offsets to be written to this member's partitions, as the last fetch told; for lag alone."""
        ...

    async def partitions_of(self, topic: str) -> int:
        """Return the number of a topic's partitions; raise `LogUnavailable` while it is not known."""
        ...

    async def stop(self) -> None:
        """Leave the group and close."""
        ...


class Producer(Protocol):
    """What writes to the log. All methods belong to one event loop."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Write all, in order by topic and key; return when all are acknowledged.

        Raise `LogUnavailable` when all has to be tried again, `RefusedError` when all but some are written.
        """
        ...

    async def publish_again(self, messages: Sequence[Message]) -> None:
        """Publish again what was refused before, apart from all others."""
        ...
