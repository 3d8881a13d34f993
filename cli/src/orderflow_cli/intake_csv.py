"""CSV files: rows by the names in the header, whatever marks they are written with.

A quote that nobody closes takes nothing with it: the row that begins on its line is refused, and reading goes on at the
next line. So is a row in whose quoted cell whole rows stand: two stray quotes look like one long cell.
Source: RFC 4180, and what spreadsheets write: other delimiters, `sep=;`, UTF-16, trailing empty cells and rows.
"""

import csv
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from orderflow_cli.intake_rows import LoadError, Row, RowError, Values
from orderflow_cli.intake_text import MAX_LINE, Lines, TextFile

DELIMITERS = (",", ";", "\t", "|")
_HINT = "sep="
_TELLING_COLUMNS = 3

# a cell is bounded by its row, a row by MAX_LINE
csv.field_size_limit(MAX_LINE)

_Read = tuple[int, str | RowError]
"""A line's number, and its text or why it has none."""


@dataclass(frozen=True, slots=True)
class _Header:
    """`lines` stand before the first row; `wanted` are the columns to read, with their places."""

    delimiter: str
    lines: int
    names: tuple[str, ...]
    wanted: tuple[tuple[str, int], ...]


class CsvSource:
    """Rows by the names in the first line; quoted cells may hold line breaks. `wanted` are the columns to read."""

    unit = "line"

    def __init__(self, file: TextFile, wanted: Collection[str], delimiter: str | None) -> None:
        self._file = file
        self.size = file.size
        with file.lines() as lines:
            self._header = _header(lines, file, wanted, delimiter)
        self.columns: list[str] = list(self._header.names)

    def rows(self, after: int) -> Iterator[Row]:
        """Return the rows after the line with this number, 0 for all; a row's number is that of its first line."""
        with self._file.lines() as lines:
            reader = _Rows(lines, self._header)
            for row in reader:
                if row.number > after:
                    yield row


class _Rows:
    """Reads row by row; lines that a broken row has taken are read again, as the rows that they may be."""

    def __init__(self, lines: Lines, header: _Header) -> None:
        self._lines = lines
        self._header = header
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
        if any(map(self._is_whole, taken[1:])):
            raise RowError("a quoted cell holds whole rows: a quote is missing")
        return cells

    def _needed(self, taken: list[_Read]) -> Iterator[str]:
        size = 0
        line: _Read | None = taken[0]
        while line is not None:
            if isinstance(line[1], RowError):
                raise line[1] if line is taken[0] else RowError("a quote is opened and not closed")
            size += len(line[1])
            if size > MAX_LINE:
                raise RowError(f"a quote is opened and not closed within {MAX_LINE} characters")
            yield line[1]
            if (line := self._next()) is not None:
                taken.append(line)

    def _values(self, cells: list[str]) -> Values | RowError | None:
        """Return the columns that are read; None of a row whose cells are all empty."""
        if not any(map(str.strip, cells)):
            return None
        count = len(self._header.names)
        if len(cells) < count or any(cell.strip() for cell in cells[count:]):
            return RowError(f"the row has {len(cells)} cells, the header {count}")
        return {name: cells[place] for name, place in self._header.wanted}

    def _is_whole(self, line: _Read) -> bool:
        """Tell whether a line within a quoted cell would be a row by itself; of few columns any text may look so."""
        count = len(self._header.names)
        cells = next(csv.reader([str(line[1])], delimiter=self._header.delimiter), [])
        return count >= _TELLING_COLUMNS and len(cells) == count


def _header(lines: Lines, file: TextFile, wanted: Collection[str], delimiter: str | None) -> _Header:
    try:
        text = next(lines, "")
        if text.lower().startswith(_HINT) and len(text.strip("\r\n")) == len(_HINT) + 1:
            delimiter, text = delimiter or text[len(_HINT)], next(lines, "")
        if "\r" in text.rstrip("\r\n"):
            raise LoadError(f"{file.path}: its lines end with CR alone", "Save it with LF or CR LF")
        names = _names(text, delimiter := delimiter or _likeliest(text, wanted))
    except (RowError, csv.Error) as error:
        raise LoadError(f"{file.path}: the first line names no columns: {error}", "Is it a CSV file?") from None
    if not names:
        raise LoadError(f"{file.path}: the first line names no columns", "Is it a CSV file?")
    for name in wanted:
        if names.count(name) > 1:
            raise LoadError(f"{file.path}: column {name} stands {names.count(name)} times", "Rename all but one")
    places = tuple((name, names.index(name)) for name in wanted if name in names)
    return _Header(delimiter, lines.number, names, places)


def _likeliest(header: str, wanted: Collection[str]) -> str:
    """Return the delimiter by which the header has most of what is wanted, then most columns."""

    def fitting(delimiter: str) -> tuple[int, int]:
        try:
            names = _names(header, delimiter)
        except csv.Error:
            names = ()
        return len(set(wanted) & set(names)), len(names)

    return max(DELIMITERS, key=fitting)  # the first of those that fit alike


def _names(header: str, delimiter: str) -> tuple[str, ...]:
    """Return the names without blanks around them; empty ones at the end are no columns."""
    names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter, strict=True), [])]
    while names and not names[-1]:
        names.pop()
    return tuple(names)
