"""CSV files: rows by the names in the header, whatever marks they are written with.

A quote that nobody closes takes nothing with it: the row that begins on its line is refused, and reading goes on at the
next line. Two stray quotes look like one long cell, of which each line is a row: the rows with the quotes are refused.
Source: RFC 4180, and what spreadsheets write: other delimiters, `sep=;`, UTF-16, trailing empty cells and rows.
"""

import csv
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from orderflow_cli.bulk_load.rows import LoadError, Row, RowError, Values
from orderflow_cli.bulk_load.text import MAX_LINE_BYTES, Lines, TextFile

DELIMITERS = (",", ";", "\t", "|")
_HINT = "sep="
_REMEDY = "Is it a CSV file, in the encoding that the mapping says?"

# a cell is bounded by its row, a row by MAX_LINE_BYTES
csv.field_size_limit(MAX_LINE_BYTES)

_Read = tuple[int, str | RowError]
"""A line's number, and its text or why it has none."""


@dataclass(frozen=True, slots=True)
class _Header:
    """`lines` stand before the first row; `wanted` are the columns to read, with their places."""

    delimiter: str
    lines: int
    names: tuple[str, ...]
    wanted: tuple[tuple[str, int], ...]

    def values(self, cells: list[str]) -> Values:
        """Return the columns that are read of a row that has all of them."""
        return {name: cells[place] for name, place in self.wanted}


class CsvSource:
    """Rows by the names in the header; quoted cells may hold line breaks. `wanted` are the columns to read.

    `fits` tells whether a row with these values could be one: what stands in a cell is only then taken for a row.
    """

    unit = "line"

    def __init__(
        self, file: TextFile, wanted: Collection[str], delimiter: str | None, fits: Callable[[Values], bool]
    ) -> None:
        self._file = file
        self._fits = fits
        self.size = file.size
        with file.lines() as lines:
            self._header = _header(lines, file, wanted, delimiter)
        self.columns: list[str] = list(self._header.names)

    def rows(self, after: int) -> Iterator[Row]:
        """Return the rows after the line with this number, 0 for all; a row's number is that of its first line."""
        with self._file.lines() as lines:
            reader = _Rows(lines, self._header, self._fits)
            for row in reader:
                if row.number > after:
                    yield row


class _Rows:
    """Reads row by row; lines that a broken row has taken are read again, as the rows that they may be."""

    def __init__(self, lines: Lines, header: _Header, fits: Callable[[Values], bool]) -> None:
        self._lines = lines
        self._header = header
        self._fits = fits
        self._again: deque[_Read] = deque()

    def __iter__(self) -> Iterator[Row]:
        while (first := self._next()) is not None:
            if first[0] <= self._header.lines:
                continue
            taken = [first]
            values: Values | RowError | None
            try:
                cells = self._cells(taken)
            except RowError as error:
                values = error
                self._again.extendleft(reversed(taken[1:]))
                del taken[1:]
            else:
                values = self._values(cells)
            if values is not None:
                yield Row(first[0], taken[-1][0], self._lines.end, values)

    def _next(self) -> _Read | None:
        if self._again:
            return self._again.popleft()
        number = self._lines.number + 1
        try:
            return number, next(self._lines)
        except StopIteration:
            return None
        except RowError as error:
            return number, error

    def _cells(self, taken: list[_Read]) -> list[str]:
        """Return the cells of the row that begins with the line in `taken`, to which the others it needs are added."""
        try:
            cells = next(csv.reader(self._needed(taken), delimiter=self._header.delimiter, strict=True), [])
        except csv.Error as error:
            raise RowError(f"not CSV: {error}") from None
        if len(taken) > 1 and self._are_rows([str(text) for _, text in taken]):
            taken[-1] = (taken[-1][0], RowError("a quote is closed that was not opened"))
            raise RowError("a quote is opened, and what follows are rows")
        return cells

    def _needed(self, taken: list[_Read]) -> Iterator[str]:
        size = 0
        line: _Read | None = taken[0]
        while line is not None:
            if isinstance(line[1], RowError):
                raise line[1] if line is taken[0] else RowError(f"line {line[0]}, within its quotes: {line[1]}")
            size += len(line[1])
            if size > MAX_LINE_BYTES:
                raise RowError(f"a quote is opened and not closed within {MAX_LINE_BYTES} characters")
            yield line[1]
            if (line := self._next()) is not None:
                taken.append(line)
        raise RowError("a quote is opened and not closed")

    def _values(self, cells: list[str]) -> Values | RowError | None:
        """Return the columns that are read; None of a row whose cells are all empty."""
        if not any(map(str.strip, cells)):
            return None
        count = len(self._header.names)
        if len(cells) < count or any(cell.strip() for cell in cells[count:]):
            return RowError(f"the row has {len(cells)} cells, the header {count}")
        return self._header.values(cells)

    def _are_rows(self, lines: list[str]) -> bool:
        """Return whether the first line would be a row but for its quote, and one within the cell is one by itself."""
        count = len(self._header.names)
        *closed, rest = self._split(lines[0])
        if count == 1 or len(closed) + max(1, len(self._split(rest))) != count:
            return False
        within = map(self._split, lines[1:-1] or lines[1:])
        return any(len(cells) == count and self._fits(self._header.values(cells)) for cells in within)

    def _split(self, line: str) -> list[str]:
        # a CR that stands in quotes would be an error where its quote is not seen
        return next(csv.reader([line.replace("\r", " ")], delimiter=self._header.delimiter), [])


def _header(lines: Lines, file: TextFile, wanted: Collection[str], delimiter: str | None) -> _Header:
    try:
        text = next(lines, "")
        if text.lower().startswith(_HINT) and len(text.strip("\r\n")) == len(_HINT) + 1:
            delimiter, text = delimiter or text[len(_HINT)], next(lines, "")
        if "\r" in text.rstrip("\r\n"):
            raise LoadError(f"{file.path}: its lines end with CR alone", "Save it with LF or CR LF")
        if "\0" in text:
            raise LoadError(f"{file.path}: its text has NUL characters", "Save it as UTF-8, or UTF-16 with a mark")
        names = _names(chain([text], lines), delimiter := delimiter or _likeliest(text, wanted))
    except (RowError, csv.Error) as error:
        raise LoadError(f"{file.path}: the first line names no columns: {error}", _REMEDY) from None
    if not names:
        raise LoadError(f"{file.path}: the first line names no columns", _REMEDY)
    for name in wanted:
        if names.count(name) > 1:
            raise LoadError(f"{file.path}: column {name} stands {names.count(name)} times", "Rename all but one")
    places = tuple((name, names.index(name)) for name in wanted if name in names)
    return _Header(delimiter, lines.number, names, places)


def _likeliest(header: str, wanted: Collection[str]) -> str:
    """Return the delimiter by which the header has most of what is wanted, then most columns."""

    def fitting(delimiter: str) -> tuple[int, int]:
        names = _names([header], delimiter, strict=False)
        return len(set(wanted) & set(names)), len(names)

    return max(DELIMITERS, key=fitting)  # the first of those that fit alike


def _names(lines: Iterable[str], delimiter: str, strict: bool = True) -> tuple[str, ...]:
    """Return the names without blanks around them; empty ones at the end are no columns."""
    names = [name.strip() for name in next(csv.reader(lines, delimiter=delimiter, strict=strict), [])]
    while names and not names[-1]:
        names.pop()
    return tuple(names)
