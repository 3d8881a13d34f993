"""JSON files that hold one array of orders, or of rows to map, read an element at a time."""

import json
from collections.abc import Iterator
from decimal import Decimal
from io import TextIOBase
from typing import Any

from orderflow_cli.bulk_load.rows import LoadError, Row, RowError
from orderflow_cli.bulk_load.text import MAX_LINE_BYTES, TextFile

_CHUNK_CHARACTERS = 8 * 1024
_MOST_DIGITS = 1_000


class JsonSource:
    """The elements of an array, numbered from 1."""

    unit = "row"

    def __init__(self, file: TextFile) -> None:
        self._file = file
        self.columns: list[str] | None = None
        self.size = file.size

    def rows(self, after: int) -> Iterator[Row]:
        """Return the elements after the one with this number; raise `LoadError` when the array is broken."""
        with self._file.text() as (text, raw):
            reader = _Elements(text)
            for number, value in enumerate(reader.values(), start=1):
                if number > after:
                    values = value if isinstance(value, dict) else RowError("the element is not a JSON object")
                    yield Row(number, number, raw.tell(), values)
            if reader.fault:
                where = f"{self._file.path}: line {reader.line}"
                raise LoadError(f"{where}: {reader.fault}", "Write the file anew, or as NDJSON")


def _whole(digits: str) -> int | Decimal:
    """Return a number; one of more digits than Python reads at once is no reason to stop."""
    return int(digits) if len(digits) <= _MOST_DIGITS else Decimal(digits)


class _Elements:
    """Reads an array; `fault` says why it ended where it should not, after reading as far as `line`."""

    def __init__(self, file: TextIOBase) -> None:
        self._file = file
        self._text = ""
        self._decoder = json.JSONDecoder(parse_int=_whole)
        self.fault = ""
        self.line = 1

    def values(self) -> Iterator[Any]:
        """Return the elements up to the array's end or the fault."""
        try:
            self._expect("[")
            if self._peek() == "]":
                return self._end()
            while True:
                yield self._element()
                if self._peek() != ",":
                    return self._end()
                self._drop(1)
        except ValueError as error:
            self.fault = str(error)

    def _element(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text)
            except json.JSONDecodeError as error:
                if len(self._text) > MAX_LINE_BYTES or not self._more():
                    raise ValueError(
                        f"not JSON, or an element of more than {MAX_LINE_BYTES} bytes: {error.msg}"
                    ) from None
            except RecursionError:
                raise ValueError("nested too deeply") from None
            else:
                if end < len(self._text) or not self._more():  # 12 at the end may be the beginning of 123
                    self._drop(end)
                    return value

    def _peek(self) -> str:
        """Return the next character that is no blank, and leave it; nothing at the end."""
        while not self._text.lstrip():
            self._drop(len(self._text))
            if not self._more():
                return ""
        self._drop(len(self._text) - len(self._text.lstrip()))
        return self._text[0]

    def _more(self) -> bool:
        chunk = self._file.read(_CHUNK_CHARACTERS)
        self._text += chunk
        return bool(chunk)

    def _drop(self, length: int) -> None:
        self.line += self._text.count("\n", 0, length)
        self._text = self._text[length:]

    def _expect(self, mark: str) -> None:
        if self._peek() != mark:
            raise ValueError(f"{mark} is missing")
        self._drop(1)

    def _end(self) -> None:
        self._expect("]")
        if self._peek():
            raise ValueError("more stands after the array")
