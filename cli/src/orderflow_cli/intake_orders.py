"""From rows to orders in the API's form, and from orders to batches that it takes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from orderflow_cli.intake_mapping import OrderMapping
from orderflow_cli.intake_rows import Row, RowError, Values

MAX_LINES = 100
MAX_ORDER = 64 * 1024
MAX_BATCH = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Draft:
    """An order as bytes of JSON, or why its rows make none; `first` to `last` are the numbers of its rows."""

    first: int
    last: int
    end: int
    key: str | None
    order: bytes | RowError


def drafts(rows: Iterable[Row], mapping: OrderMapping | None) -> Iterator[Draft]:
    """Make orders of rows; without a mapping each row is one already."""
    if mapping is None:
        yield from (_draft([row], _as_it_is) for row in rows)
    elif (column := mapping.group_by) is None:
        yield from (_draft([row], mapping.order) for row in rows)
    else:
        for _, together in groupby(rows, lambda row: _group(row, column)):
            yield _group_draft(together, mapping)


def batches(orders: Iterable[Draft], most: int) -> Iterator[list[Draft]]:
    """Put together at most `most` orders, and no more bytes than the order service reads at once."""
    batch: list[Draft] = []
    size = 0
    for draft in orders:
        length = len(draft.order) + 1 if isinstance(draft.order, bytes) else 0
        if batch and (len(batch) == most or size + length > MAX_BATCH):
            yield batch
            batch, size = [], 0
        batch.append(draft)
        size += length
    if batch:
        yield batch


def _group(row: Row, column: str) -> Any:
    """What rows of one order have in common; a broken row, or one without, is alone."""
    value = None if isinstance(row.values, RowError) else row.values.get(column)
    return ("", row.number) if value is None or value == "" else value


def _group_draft(together: Iterator[Row], mapping: OrderMapping) -> Draft:
    """One order of rows that stand together, however many there are: more than an order can have are not held."""
    rows = list(islice(together, MAX_LINES))
    last = rows[-1]
    for extra in together:
        last = extra
    if last is rows[-1]:
        return _draft(rows, mapping.order)
    return Draft(rows[0].number, last.number, last.end, None, RowError(f"more than {MAX_LINES} rows for one order"))


def _as_it_is(rows: Sequence[Values]) -> dict[str, Any]:
    return dict(rows[0])


def _draft(rows: Sequence[Row], make: Callable[[Sequence[Values]], dict[str, Any]]) -> Draft:
    key = None
    content: bytes | RowError
    try:
        order = make([_values(row) for row in rows])
        key = order.get("idempotencyKey")
        content = _json(order)
    except RowError as error:
        content = error
    return Draft(rows[0].number, rows[-1].number, rows[-1].end, key if isinstance(key, str) else None, content)


def _values(row: Row) -> Values:
    if isinstance(row.values, RowError):
        raise row.values
    return row.values


def _json(order: dict[str, Any]) -> bytes:
    try:
        content = to_json(order)
    except (PydanticSerializationError, ValueError) as error:
        raise RowError(f"the row holds what JSON cannot say: {error}") from None
    if len(content) > MAX_ORDER:
        raise RowError(f"the order is larger than {MAX_ORDER} bytes")
    return content
