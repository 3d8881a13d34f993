"""Shipping's table, in sets: each function is one statement for the whole batch. Called by `handlers`."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from orderflow_runtime import Transaction
from orderflow_shipping.domain import Shipment, State

_LOAD = """
SELECT order_id, state, tracking, value
FROM shipment WHERE order_id = ANY($1::text[]) ORDER BY order_id FOR UPDATE"""

_INSERT = """
WITH added AS (
    INSERT INTO shipment (order_id, state, tracking, value)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
    ON CONFLICT DO NOTHING RETURNING 1)
SELECT raise_error('40001', 'a shipment of this batch was added by another instance')
FROM added HAVING count(*) < cardinality($1::text[])"""

_UPDATE = """
UPDATE shipment AS s SET state = row.state
FROM unnest($1::text[], $2::text[]) AS row (order_id, state)
WHERE s.order_id = row.order_id"""


async def load(tx: Transaction, order_ids: Sequence[str]) -> dict[str, Shipment]:
    """Lock and give the shipments that exist, by order id."""
    return {row["order_id"]: _shipment(row) for row in await tx.fetch(_LOAD, order_ids)}


async def insert(tx: Transaction, rows: Iterable[Shipment]) -> None:
    """Add new shipments; a later statement raises `Conflict` when another instance has just added one."""
    table = sorted((row.order_id, row.state, row.tracking, row.value) for row in rows)
    if table:
        await tx.execute(_INSERT, *(list(column) for column in zip(*table, strict=True)))


async def update(tx: Transaction, rows: Collection[Shipment]) -> None:
    """Write the states of changed shipments, which `load` has locked; nothing else of them ever changes."""
    if rows:
        await tx.execute(_UPDATE, [row.order_id for row in rows], [row.state for row in rows])


def _shipment(row: Mapping[str, Any]) -> Shipment:
    return Shipment(row["order_id"], State(row["state"]), row["tracking"], row["value"])
