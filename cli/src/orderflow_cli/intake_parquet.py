"""Parquet files, read a row group at a time and only the columns that are mapped."""

from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow
from pyarrow.parquet import ParquetFile

from orderflow_cli.intake_rows import LoadError, Row

_AT_ONCE = 2_000


class ParquetSource:
    """Rows by column name, numbered from 1. `wanted` are the columns to read, None for all."""

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

    def rows(self, after: int) -> Iterator[Row]:
        """Give the rows after the one with this number; row groups before it are not read."""
        first, number = self._start(after)
        groups = list(range(first, len(self._groups)))
        try:
            with ParquetFile(self._path, pre_buffer=False) as file:
                for batch in file.iter_batches(_AT_ONCE, groups, columns=self._wanted):
                    for values in batch.to_pylist():
                        number += 1
                        if number > after:
                            yield Row(number, number, values)
        except (OSError, pyarrow.ArrowException) as error:
            raise LoadError(f"{self._path}: after row {number}: {error}", "Write the file anew") from None

    def _start(self, row: int) -> tuple[int, int]:
        """The first row group that ends after the row, and how many rows stand before that group."""
        before = 0
        for group, rows in enumerate(self._groups):
            if row < before + rows:
                return group, before
            before += rows
        return len(self._groups), before
