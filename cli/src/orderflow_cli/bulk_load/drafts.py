"""From rows to orders in the API's form, and from orders to batches that it takes."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from orderflow_cli.bulk_load.groups import Group, groups
from orderflow_cli.bulk_load.mapping import OrderMapping
from orderflow_cli.bulk_load.rows import Row, RowError, Values

MAX_LINES = 100
MAX_ORDER_BYTES = 64 * 1024
MAX_BATCH_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Draft:
    """An order as bytes of JSON, or why its rows make none; `first` to `last` are the numbers of its rows.

    `unread`: of its row it is not known to which order it belongs.
    """

    first: int
    last: int
    end: int
    key: str | None
    order: bytes | RowError
    unread: bool = False


def drafts(rows: Iterable[Row], mapping: OrderMapping | None, scattered: Collection[int] = ()) -> Iterator[Draft]:
    """Return orders made of rows; without a mapping each row is one. Those that are `scattered` are refused."""
    if mapping is None:
        yield from (_draft([row], _as_it_is) for row in rows)
    elif mapping.group_by is None:
        yield from (_draft([row], mapping.order) for row in rows)
    else:
        yield from _beside_broken(_group_draft(group, mapping, scattered) for group in groups(rows, mapping))


def batches(orders: Iterable[Draft], most: int) -> Iterator[list[Draft]]:
    """Put together at most `most` orders, and no more bytes than the order service reads at once."""
    batch: list[Draft] = []
    size = 0
    for draft in orders:
        length = len(draft.order) + 1 if isinstance(draft.order, bytes) else 0
        if batch and (len(batch) == most or size + length > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(draft)
        size += length
    if batch:
        yield batch


def _group_draft(group: Group, mapping: OrderMapping, scattered: Collection[int]) -> Draft:
    """Return one order of rows that stand together, of which no more are held than an order can have."""
    rows = list(islice(group.rows, MAX_LINES))
    if not group.number:
        return _stray(rows[0], mapping)
    last = rows[-1]
    for extra in group.rows:
        last = extra
    if group.number in scattered:
        reason = f"rows with this {mapping.group_by} stand elsewhere too; sort the file by it"
    elif last is not rows[-1]:
        reason = f"more than {MAX_LINES} rows for one order"
    else:
        return _draft(rows, mapping.order)
    return Draft(rows[0].number, last.last, last.end, None, RowError(reason))


def _stray(row: Row, mapping: OrderMapping) -> Draft:
    """Refuse a row that does not say to which order it belongs."""
    reason = row.values if isinstance(row.values, RowError) else row.values.get(mapping.group_by or "")
    unread = isinstance(reason, RowError) or not mapping.blank_as_above
    if not isinstance(reason, RowError):
        reason = RowError(f"column {mapping.group_by} is empty")
    return Draft(row.number, row.last, row.end, None, reason, unread)


def _beside_broken(orders: Iterable[Draft]) -> Iterator[Draft]:
    """Refuse an order beside a row that is of nobody knows which: it may be this one's, and none is placed by half."""
    before: Draft | None = None
    for draft in orders:
        if before is not None:
            yield _refuse_beside(before, draft) if draft.unread else before
            draft = _refuse_beside(draft, before) if before.unread else draft
        before = draft
    if before is not None:
        yield before


def _refuse_beside(draft: Draft, broken: Draft) -> Draft:
    if isinstance(draft.order, RowError):
        return draft
    reason = RowError(f"the row at {broken.first} beside it may be one of this order's, and is refused")
    return replace(draft, order=reason)


def _as_it_is(rows: Sequence[Values]) -> dict[str, Any]:
    for column, value in rows[0].items():
        if isinstance(value, RowError):
            raise RowError(f"column {column}: {value}")
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
    return Draft(rows[0].number, rows[-1].last, rows[-1].end, key if isinstance(key, str) else None, content)


def _values(row: Row) -> Values:
    if isinstance(row.values, RowError):
        raise row.values
    return row.values


def _json(order: dict[str, Any]) -> bytes:
    try:
        content = to_json(order)
    except (PydanticSerializationError, ValueError) as error:
        raise RowError(f"the row holds what JSON cannot say: {error}") from None
    if len(content) > MAX_ORDER_BYTES:
        raise RowError(f"the order is larger than {MAX_ORDER_BYTES} bytes")
    return content
