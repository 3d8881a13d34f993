"""Reads fetched record batches for aiokafka's consumer: `kafka_log.py` installs it in the place of aiokafka's own
reader.

It tells in which epoch of its partition's leader a batch was written, which aiokafka passes over.

Kafka takes header names of any bytes, and aiokafka cannot read a batch in which one is not UTF-8: a single record
would hold up its partition for ever. Such a batch is read here, its odd names with lone surrogates for what is not
text, which `headers.py` turns into text. All other batches aiokafka reads.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.util import decode_varint

_START = Struct(">qi")
"""A batch's base offset, and the length of what follows."""
_EPOCH = Struct(">i")


def install() -> None:
    """Make every aiokafka consumer of this process read by `Batches`, and note epochs by `FetchResult`."""
    fetcher.MemoryRecords = Batches
    fetcher.FetchResult = FetchResult


class FetchResult(fetcher.FetchResult):  # type: ignore[misc]  # aiokafka has no types
    """A partition's part of a fetch; as its state's position moves on, the epoch there is noted beside it."""

    def _update_position(self) -> None:
        super()._update_position()
        state = self._assignment.state_value(self._topic_partition)
        state.leader_epoch = self._partition_records._records.leader_epoch


class Batches:
    """The batches in one partition's part of a fetch response; the last may be cut off.

    `leader_epoch` is that of the batch taken last, -1 before the first.
    """

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self.leader_epoch = -1

    def size_in_bytes(self) -> int:
        """Give what is left to read."""
        return len(self._data)

    def has_next(self) -> bool:
        """Tell whether a whole batch is left."""
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
