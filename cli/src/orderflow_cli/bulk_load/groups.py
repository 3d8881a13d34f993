"""Which rows are of one order: those that stand together with the same value in the mapping's `groupBy`.

An order whose rows stand in several places would be placed by half, so those are looked for before anything is placed:
`scattered` reads the whole file once and keeps a number an order.
"""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from orderflow_cli.bulk_load.mapping import OrderMapping, is_blank
from orderflow_cli.bulk_load.rows import Row, RowError


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that stand together. `number` is a hash of what they have in common, 0 where that is nothing."""

    number: int
    rows: Iterator[Row]


def groups(rows: Iterable[Row], mapping: OrderMapping) -> Iterator[Group]:
    """Return the groups in order; a row that cannot be read, or has no value where it needs one, is alone."""
    for (_, number), together in groupby(rows, _Key(mapping)):
        yield Group(number, together)


def scattered(rows: Iterable[Row], mapping: OrderMapping) -> frozenset[int]:
    """Return the numbers of groups that stand in several places."""
    # pyarrow takes 0.3 s to import, and counts in a fraction of the memory of a set
    import pyarrow
    from pyarrow import compute

    found = array("q", (group.number for group in groups(rows, mapping) if group.number))
    numbers = pyarrow.Array.from_buffers(pyarrow.int64(), len(found), [None, pyarrow.py_buffer(found)])
    counts = compute.value_counts(numbers)
    return frozenset(counts.field("values").filter(compute.greater(counts.field("counts"), 1)).to_pylist())


class _Key:
    """Gives what tells a row's group from its neighbours'."""

    def __init__(self, mapping: OrderMapping) -> None:
        self._column = mapping.group_by or ""
        self._as_above = mapping.blank_as_above
        self._last: tuple[int, int] = (0, 0)

    def __call__(self, row: Row) -> tuple[int, int]:
        value: Any = row.values if isinstance(row.values, RowError) else row.values.get(self._column)
        if is_blank(value) and self._as_above and self._last[1]:
            return self._last
        alone = is_blank(value) or isinstance(value, RowError)
        self._last = (row.number, 0) if alone else (0, hash(str(value)) or 1)
        return self._last
