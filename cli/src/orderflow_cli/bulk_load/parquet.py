"""Parquet files, read a row group at a time and only the columns that are mapped."""

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import compute
from pyarrow.parquet import ParquetFile

from orderflow_cli.bulk_load.rows import LoadError, Row, RowError

_AT_ONCE = 2_000
_UNREADABLE = (pyarrow.ArrowException, ValueError, OverflowError, TypeError)
"""What a value raises that its type allows and Python's lacks: nanoseconds, years after 9999."""
_BYTES = (pyarrow.binary(), pyarrow.large_binary(), pyarrow.binary_view())
_NO_TIME = "<value out of range"
"""How Arrow begins to write a time that its own calendar lacks."""


class ParquetSource:
    """Rows by column name, numbered from 1. `wanted` are the columns to read; None for rows that are orders already."""

    unit = "row"

    def __init__(self, path: Path, wanted: Collection[str] | None) -> None:
        self._path = path
        try:
            with ParquetFile(path) as file:
                self.size: int = file.metadata.num_rows
                self.columns: list[str] = file.schema_arrow.names
                groups = range(file.num_row_groups)
                self._groups = [file.metadata.row_group(number).num_rows for number in groups]
        except pyarrow.ArrowException as error:
            raise LoadError(f"{path}: {error}", "Is it a Parquet file?") from None
        self._wanted = None if wanted is None else sorted(wanted)
        for name in self._wanted or ():
            if self.columns.count(name) > 1:
                raise LoadError(f"{path}: column {name} stands {self.columns.count(name)} times", "Rename all but one")

    def rows(self, after: int) -> Iterator[Row]:
        """Return the rows after the one with this number; row groups before it are not read."""
        first, number = self._start(after)
        groups = list(range(first, len(self._groups)))
        try:
            with ParquetFile(self._path, pre_buffer=False) as file:
                for batch in file.iter_batches(_AT_ONCE, groups, columns=self._wanted):
                    for values in self._values(batch):
                        number += 1
                        if number > after:
                            yield Row(number, number, number, values)
        except (OSError, pyarrow.ArrowException) as error:
            raise LoadError(f"{self._path}: after row {number}: {error}", "Write the file anew") from None

    def _values(self, batch: pyarrow.RecordBatch) -> Iterator[dict[str, Any]]:
        columns = [_plain(column) for column in batch.columns]
        for number in range(batch.num_rows):
            row = {name: column[number] for name, column in zip(batch.schema.names, columns, strict=True)}
            # an order has no null: what is optional is left out
            yield row if self._wanted is not None else _without_nulls(row)

    def _start(self, row: int) -> tuple[int, int]:
        """Return the first row group that ends after the row, and how many rows stand before that group."""
        before = 0
        for group, rows in enumerate(self._groups):
            if row < before + rows:
                return group, before
            before += rows
        return len(self._groups), before


def _plain(column: pyarrow.Array) -> list[Any]:
    """Return a column as Python's values; what Python has no value for is text, or the reason why it cannot be read."""
    if pyarrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pyarrow.types.is_float32(column.type):
        # by its text: 12.1 is stored as 12.1000004, and nobody wrote that
        column = compute.cast(compute.cast(column, pyarrow.string()), pyarrow.float64())
    if column.type in _BYTES:
        return [_text(value) for value in column.to_pylist()]
    try:
        values: list[Any] = column.to_pylist()
        return values
    except _UNREADABLE:
        return [_one(value) for value in column]


def _text(value: bytes | None) -> Any:
    """Return text of bytes that are some: old writers do not mark them as text."""
    with contextlib.suppress(UnicodeDecodeError):
        return None if value is None else value.decode()
    return value


def _one(value: pyarrow.Scalar) -> Any:
    try:
        return value.as_py()
    except _UNREADABLE:
        pass
    try:
        text = value.cast(pyarrow.string()).as_py()
    except _UNREADABLE as error:
        return RowError(f"a {value.type} that cannot be read: {error}")
    return RowError(f"a {value.type} that cannot be read: {text}") if text.startswith(_NO_TIME) else text


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
