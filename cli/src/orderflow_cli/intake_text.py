"""NDJSON and CSV files, read line by line: whatever a line holds, the lines after it are still read."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from pydantic_core import from_json

from orderflow_cli.intake_rows import LoadError, Row, RowError, Values

MAX_LINE = 64 * 1024
"""The most that the order service reads as one order, in bytes; no line is held in memory beyond it."""


class Lines:
    """The lines of a file as text without a byte order mark; `number` is that of the last one, `end` its end in bytes.

    A line that is too long or not UTF-8 raises RowError, after which iteration goes on with the next.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.number = 0
        self.end = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._read()
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) > MAX_LINE:
            while line and not line.endswith(b"\n"):
                line = self._read()
            raise RowError(f"the line is longer than {MAX_LINE} bytes")
        try:
            return line.decode("utf-8-sig" if self.number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise RowError(f"the line is not UTF-8 at byte {error.start}") from None

    def _read(self) -> bytes:
        line = self._file.readline(MAX_LINE + 1)
        self.end += len(line)
        return line


class NdjsonSource:
    """Orders, or rows to map, as one JSON object a line."""

    unit = "line"

    def __init__(self, path: Path) -> None:
        self._path = path
        self.columns: list[str] | None = None
        self.size = path.stat().st_size

    def rows(self, after: int) -> Iterator[Row]:
        """Give the rows after the line with this number, 0 for all."""
        with self._path.open("rb") as file:
            lines = Lines(file)
            yield from _rows(lines, lambda: _object(next(lines)), after)


class CsvSource:
    """Rows by the names in the first line; quoted cells may hold line breaks."""

    unit = "line"

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size = path.stat().st_size
        with path.open("rb") as file:
            self.columns: list[str] = _header(Lines(file), path)

    def rows(self, after: int) -> Iterator[Row]:
        """Give the rows after the line with this number, 0 for all; a row's number is that of its first line."""
        with self._path.open("rb") as file:
            lines = Lines(file)
            reader = csv.reader(lines, strict=True)
            next(reader)
            yield from _rows(lines, lambda: self._row(next(reader)), after)

    def _row(self, cells: list[str]) -> Values | None:
        if not cells:
            return None
        if len(cells) != len(self.columns):
            raise RowError(f"the row has {len(cells)} cells, the header {len(self.columns)}")
        return dict(zip(self.columns, cells, strict=True))


def _rows(lines: Lines, read: Callable[[], Values | None], after: int) -> Iterator[Row]:
    """Read until the end; an empty line (None) is passed over."""
    while True:
        number = lines.number + 1
        try:
            values: Values | RowError | None = read()
        except StopIteration:
            return
        except RowError as error:
            values = error
        except csv.Error as error:
            values = RowError(f"not CSV: {error}")
        if values is not None and number > after:
            yield Row(number, lines.end, values)


def _object(line: str) -> Values | None:
    if not line.strip():
        return None
    try:
        values = from_json(line, allow_inf_nan=False)
    except ValueError as error:
        raise RowError(f"not JSON: {error}") from None
    if not isinstance(values, dict):
        raise RowError("the line is not a JSON object")
    return values


def _header(lines: Lines, path: Path) -> list[str]:
    try:
        names = next(csv.reader(lines, strict=True), [])
    except (RowError, csv.Error) as error:
        raise LoadError(f"{path}: the first line names no columns: {error}", "Is it a CSV file?") from None
    if not names or len(set(names)) != len(names):
        raise LoadError(f"{path}: the first line must name every column once", "Add or correct it")
    return names
