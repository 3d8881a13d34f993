"""Inventory's tables, in sets: each function is one statement for the whole batch. Called by `handlers`.

Reservations are locked in key order. Stock is hot: a large batch touches most of it, and one transaction
touches it several times, so that no order of row locks could keep two instances from a deadlock. They take
turns instead, by an advisory lock that lasts until commit. Amounts are written as differences: a restock
needs no turn.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from orderflow_inventory.domain import Reservation, Shelf, State
from orderflow_runtime import Transaction
from orderflow_shop.events import Address, Line

_LINES = TypeAdapter(tuple[Line, ...])

_LOAD = """
SELECT order_id, state, cancelled, lines::text AS lines, ship_to::text AS ship_to
FROM reservation WHERE order_id = ANY($1::text[]) ORDER BY order_id FOR UPDATE"""

_INSERT = """
WITH added AS (
    INSERT INTO reservation (order_id, state, cancelled, lines, ship_to)
    SELECT order_id, state, cancelled, lines::jsonb, ship_to::jsonb
    FROM unnest($1::text[], $2::text[], $3::bool[], $4::text[], $5::text[])
        AS row (order_id, state, cancelled, lines, ship_to)
    ON CONFLICT DO NOTHING RETURNING 1)
SELECT raise_error('40001', 'a reservation of this batch was added by another instance')
FROM added HAVING count(*) < cardinality($1::text[])"""

_UPDATE = """
UPDATE reservation AS r SET state = row.state, cancelled = row.cancelled, ship_to = row.ship_to::jsonb
FROM unnest($1::text[], $2::text[], $3::bool[], $4::text[]) AS row (order_id, state, cancelled, ship_to)
WHERE r.order_id = row.order_id"""

_TURN = "WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock('stock'::regclass::oid::bigint))"

_LOCK_STOCK = f"""{_TURN}
SELECT s.sku, s.on_hand FROM turn, stock AS s
WHERE s.sku = ANY($1::text[]) ORDER BY s.sku FOR UPDATE OF s"""  # noqa: S608 - joins constants

_MOVE_STOCK = f"""{_TURN}
UPDATE stock AS s SET
    on_hand = s.on_hand + row.on_hand, reserved = s.reserved + row.reserved, sold = s.sold + row.sold
FROM turn, unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS row (sku, on_hand, reserved, sold)
WHERE s.sku = row.sku"""  # noqa: S608 - joins constants


async def load(tx: Transaction, order_ids: Sequence[str]) -> dict[str, Reservation]:
    """Lock and give the reservations that exist, by order id."""
    return {row["order_id"]: _reservation(row) for row in await tx.fetch(_LOAD, order_ids)}


async def insert(tx: Transaction, rows: Iterable[Reservation]) -> None:
    """Add new reservations; a later statement raises `Conflict` when another instance has just added one."""
    ordered = sorted(rows, key=_order_id)
    if ordered:
        states, lines = (
            [r.state for r in ordered],
            [_LINES.dump_json(r.lines, by_alias=True).decode() for r in ordered],
        )
        columns = (_ids(ordered), states, [r.cancelled for r in ordered], lines, _addresses(ordered))
        await tx.execute(_INSERT, *columns)


async def update(tx: Transaction, rows: Collection[Reservation]) -> None:
    """Write changed reservations, which `load` has locked."""
    if rows:
        await tx.execute(_UPDATE, _ids(rows), [r.state for r in rows], [r.cancelled for r in rows], _addresses(rows))


async def lock_stock(tx: Transaction, skus: Collection[str]) -> Shelf:
    """Wait for our turn, lock the stock of these SKUs and give the shelf."""
    rows = await tx.fetch(_LOCK_STOCK, sorted(skus))
    return Shelf({row["sku"]: row["on_hand"] for row in rows})


async def move_stock(tx: Transaction, shelf: Shelf) -> None:
    """Write what was moved on the shelf."""
    moved = sorted((sku, *change) for sku, change in shelf.moved.items() if any(change))
    if moved:
        await tx.execute(_MOVE_STOCK, *(list(column) for column in zip(*moved, strict=True)))


def _reservation(row: Mapping[str, Any]) -> Reservation:
    return Reservation(
        order_id=row["order_id"],
        state=State(row["state"]),
        lines=_LINES.validate_json(row["lines"]),
        ship_to=Address.model_validate_json(row["ship_to"]) if row["ship_to"] else None,
        cancelled=row["cancelled"],
    )


def _order_id(row: Reservation) -> str:
    return row.order_id


def _ids(rows: Iterable[Reservation]) -> list[str]:
    return [row.order_id for row in rows]


def _addresses(rows: Iterable[Reservation]) -> list[str | None]:
    return [row.ship_to.model_dump_json(by_alias=True) if row.ship_to else None for row in rows]
