"""Text files by line, plain or compressed: whatever a line holds, the lines after it are still read."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pydantic_core import from_json

from orderflow_cli.bulk_load.rows import LoadError, Row, RowError, Values

MAX_LINE_BYTES = 64 * 1024
"""The most that the order service reads as one order, in bytes; no line is held in memory beyond it."""
UTF_8 = "utf-8"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CHUNK_BYTES = 64 * 1024


class TextFile:
    """A text file, compressed where its name ends in .gz, in `encoding` unless it begins with a mark that says another.

    `size` is in bytes as it lies on the disk.
    """

    def __init__(self, path: Path, encoding: str = UTF_8) -> None:
        self.path = path
        self.size = path.stat().st_size
        self._encoding = encoding

    @contextmanager
    def lines(self) -> Iterator["Lines"]:
        """Open it by line; raise `LoadError` when what is compressed is damaged."""
        with self._opened() as (content, raw, encoding):
            yield Lines(content, raw, encoding)

    @contextmanager
    def text(self) -> Iterator[tuple[io.TextIOBase, BinaryIO]]:
        """Open it as text, and as it lies on the disk; what is no text in it stands as lone surrogates."""
        with self._opened() as (content, raw, encoding):
            # what reads UTF-8 with a mark reads it without one too
            codec = "utf-8-sig" if encoding == UTF_8 else encoding
            yield io.TextIOWrapper(content, codec, errors="surrogateescape"), raw

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, BinaryIO, str]]:
        with self.path.open("rb") as raw:
            try:
                packed = self.path.suffix.lower() == ".gz"
                content: Any = io.BufferedReader(gzip.GzipFile(fileobj=raw)) if packed else raw
                if content.peek(2)[:2] in _UTF_16:
                    yield io.BufferedReader(_Utf16(content)), raw, UTF_8
                else:
                    yield content, raw, self._encoding
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise LoadError(f"{self.path}: what is compressed is damaged: {error}", "Write the file anew") from None


class Lines:
    """The lines of a file as text without a byte order mark; `number` is that of the last one.

    A line that is too long or not in the encoding raises RowError, after which iteration goes on with the next.
    """

    def __init__(self, content: BinaryIO, raw: BinaryIO, encoding: str) -> None:
        self._content = content
        self._raw = raw
        self._encoding = encoding
        self.number = 0
        self.read_bytes = 0

    @property
    def end(self) -> int:
        """How far the file is read, in bytes on the disk."""
        return self.read_bytes if self._content is self._raw else self._raw.tell()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._read()
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) > MAX_LINE_BYTES:
            while line and not line.endswith(b"\n"):
                line = self._read()
            raise RowError(f"the line is longer than {MAX_LINE_BYTES} bytes")
        if self.number == 1 and line.startswith(codecs.BOM_UTF8):
            line, self._encoding = line.removeprefix(codecs.BOM_UTF8), UTF_8
        try:
            return line.decode(self._encoding)
        except UnicodeDecodeError as error:
            raise RowError(f"the line is not {self._encoding.upper()} at byte {error.start}") from None

    def _read(self) -> bytes:
        line = self._content.readline(MAX_LINE_BYTES + 1)
        self.read_bytes += len(line)
        return line


class _Utf16(io.RawIOBase):
    """UTF-16 as UTF-8; what is no text in it stays none, so that its line alone is refused."""

    def __init__(self, content: BinaryIO) -> None:
        self._content = content
        self._decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass")
        self._rest = b""

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]  # the buffer is always a memoryview
        """Fill the buffer; 0 at the end."""
        while not self._rest:
            chunk = self._content.read(_CHUNK_BYTES)
            try:
                text = self._decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError:
                text = "\udfff"  # half a character at the very end
            self._rest = text.encode(UTF_8, "surrogatepass")
            if not chunk:
                break
        part, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


class NdjsonSource:
    """Orders, or rows to map, as one JSON object a line."""

    unit = "line"

    def __init__(self, file: TextFile) -> None:
        self._file = file
        self.columns: list[str] | None = None
        self.size = file.size

    def rows(self, after: int) -> Iterator[Row]:
        """Return the rows after the line with this number, 0 for all."""
        with self._file.lines() as lines:
            while True:
                number = lines.number + 1
                try:
                    values: Values | RowError | None = _object(next(lines))
                except StopIteration:
                    return
                except RowError as error:
                    values = error
                if values is not None and number > after:
                    yield Row(number, number, lines.end, values)


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
