"""Payment's table, in sets: each function is one statement for the whole batch. Called by `handlers`."""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from orderflow_payment.domain import Payment, State
from orderflow_runtime import Transaction

_ASKED = ("order_id", "state", "amount", "currency", "token")
_COLUMNS = (*_ASKED, "captured", "refunded", "cancelled", "attempt", "reference")

_LOAD = f"""
SELECT {", ".join(_COLUMNS)}
FROM payment WHERE order_id = ANY($1::text[]) ORDER BY order_id FOR UPDATE"""  # noqa: S608 - joins constants

_INSERT = f"""
WITH added AS (
    INSERT INTO payment ({", ".join(_COLUMNS)})
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[],
        $6::bigint[], $7::bigint[], $8::bool[], $9::int[], $10::text[])
    ON CONFLICT DO NOTHING RETURNING 1)
SELECT raise_error('40001', 'a payment of this batch was added by another instance')
FROM added HAVING count(*) < cardinality($1::text[])"""  # noqa: S608 - joins constants

_CHANGING = ("order_id", "state", "token", "captured", "refunded", "cancelled", "attempt", "reference")

_UPDATE = """
UPDATE payment AS p SET state = row.state, token = row.token, captured = row.captured,
    refunded = row.refunded, cancelled = row.cancelled, attempt = row.attempt, reference = row.reference
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bool[], $7::int[], $8::text[])
    AS row (order_id, state, token, captured, refunded, cancelled, attempt, reference)
WHERE p.order_id = row.order_id"""


async def load(tx: Transaction, order_ids: Sequence[str]) -> dict[str, Payment]:
    """Lock and give the payments that exist, by order id."""
    return {row["order_id"]: _payment(row) for row in await tx.fetch(_LOAD, order_ids)}


async def insert(tx: Transaction, rows: Iterable[Payment]) -> None:
    """Add new payments; a later statement raises `Conflict` when another instance has just added one."""
    ordered = sorted(rows, key=attrgetter("order_id"))
    if ordered:
        await tx.execute(_INSERT, *_columns(ordered, _COLUMNS))


async def update(tx: Transaction, rows: Sequence[Payment]) -> None:
    """Write changed payments, which `load` has locked; amount and currency never change."""
    if rows:
        await tx.execute(_UPDATE, *_columns(rows, _CHANGING))


def _columns(rows: Sequence[Payment], names: tuple[str, ...]) -> list[list[Any]]:
    return [[getattr(row, name) for row in rows] for name in names]


def _payment(row: Mapping[str, Any]) -> Payment:
    return Payment(**{**row, "state": State(row["state"])})
