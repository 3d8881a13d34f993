"""What the readers of `orderflow orders load` give: rows; and what stops it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from orderflow_cli.errors import LaptopError

Values = Mapping[str, Any]


class LoadError(LaptopError):
    """Loading cannot begin or go on; what was taken stays taken, and a repeat goes on where it was."""

    exit_code = 2


class RowError(ValueError):
    """This row is no order; the message is the reason for the report, and says where in the row."""


@dataclass(frozen=True, slots=True)
class Row:
    """`number` to `last`, from 1, are its lines, or rows where there are none; `end` is how far the file is read."""

    number: int
    last: int
    end: int
    values: Values | RowError


class Source(Protocol):
    """An input file."""

    @property
    def unit(self) -> str:
        """What rows are counted in: line or row."""
        ...

    @property
    def size(self) -> int:
        """The file's size in the measure of `Row.end`."""
        ...

    @property
    def columns(self) -> Sequence[str] | None:
        """The names of the columns; None where each row has its own."""
        ...

    def rows(self, after: int) -> Iterator[Row]:
        """Return the rows after the one with this number, 0 for all; raise `LoadError` when the file is damaged."""
        ...
