"""Rows of Postgres as columns of Arrow: Postgres puts the bytes of a column together, and no row becomes an object.

A column comes as one `bytea`: texts with a zero byte between them, which no text of Postgres has in it; numbers and
times in the binary form of their type; bytes one after the other, and their lengths before. Source: PostgreSQL's
functions `int4send`, `timestamptz_send` and so on, which write what its protocol has: whole numbers with the high byte
first, times in microseconds since the year 2000.
"""

import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

_TIME = pa.timestamp("us", "UTC")
_TOGETHER = {
    pa.int32(): "string_agg(int4send({}), '')",
    pa.int64(): "string_agg(int8send({}), '')",
    _TIME: "string_agg(timestamptz_send({}), '')",
    pa.string(): r"string_agg(textsend({}), '\x00')",
    pa.binary(): "string_agg(int4send(octet_length({0})), ''), string_agg({0}, '')",
}
_EPOCH, _MICROSECOND = datetime(2000, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_FIRST, _LAST = ((end.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND for end in (datetime.min, datetime.max))
_UNIX_EPOCH = (datetime(1970, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND


def columns_of(schema: pa.Schema, values: Mapping[str, str]) -> str:
    """Return what to select for one row, from which `table_of` makes a table of this schema.

    `values` are its columns in SQL, none of them null.
    """
    return ", ".join(_TOGETHER[field.type].format(values[field.name]) for field in schema)


def table_of(schema: pa.Schema, row: Iterable[bytes | None]) -> pa.Table:
    """Return the rows that were put together; none where Postgres found none."""
    parts = iter(row)
    return pa.Table.from_arrays([_column(field.type, parts) for field in schema], schema=schema)


def _column(kind: pa.DataType, parts: Iterator[bytes | None]) -> pa.Array:
    sent = next(parts)
    if sent is None:
        return pa.array([], kind)
    if kind == pa.string():
        return pc.split_pattern(pa.array([sent], pa.binary()), b"\0").values.cast(kind)
    if kind == pa.binary():
        return _bytes(_numbers(pa.int32(), sent), next(parts) or b"")
    return _times(_numbers(pa.int64(), sent)) if kind == _TIME else _numbers(kind, sent)


def _numbers(kind: pa.DataType, sent: bytes) -> pa.Array:
    numbers = array("i" if kind == pa.int32() else "q", sent)
    if sys.byteorder == "little":
        numbers.byteswap()
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(numbers)])


def _times(sent: pa.Array) -> pa.Array:
    """Return times; one without an end as the last that Python knows, one without a beginning as the first."""
    known = pc.min_element_wise(pc.max_element_wise(sent, pa.scalar(_FIRST)), pa.scalar(_LAST))
    return pc.subtract(known, pa.scalar(_UNIX_EPOCH)).cast(_TIME)


def _bytes(lengths: pa.Array, together: bytes) -> pa.Array:
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    return pa.Array.from_buffers(pa.binary(), len(lengths), [None, offsets.buffers()[1], pa.py_buffer(together)])
