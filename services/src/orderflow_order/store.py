"""The order service's rows: set-based SQL, called by the handlers. Rows are always locked in key order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from pydantic import TypeAdapter

from orderflow_order.domain import Entry, Order, State, Undo
from orderflow_runtime import Transaction
from orderflow_shop.events import CancelReason, Customer, OrderCreated

ORDER = """
    SELECT order_id, placed_at, customer::text AS customer, details::text AS details, currency, amount,
           attempt, state, reason, undo
    FROM orders WHERE order_id = $1"""
"""The query of one order as `GET /orders/{id}` shows it."""

TIMELINE = "SELECT order_id, placed_at, state, history::text AS history FROM orders WHERE order_id = $1"

_LOAD = """
    SELECT order_id, customer::text AS customer, currency, attempt, state, reason, amount, undo, trace
    FROM orders WHERE order_id = ANY($1::text[]) ORDER BY order_id FOR UPDATE"""

_SAVE = """
    UPDATE orders o
    SET attempt = n.attempt, state = n.state, reason = n.reason, amount = n.amount, undo = n.undo::text[],
        history = o.history || n.news::jsonb
    FROM unnest($1::text[], $2::smallint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[])
         AS n (order_id, attempt, state, reason, amount, undo, news)
    WHERE o.order_id = n.order_id"""

_INSERT = """
    INSERT INTO orders
        (order_id, placed_at, customer, details, currency, attempt, state, amount, undo, history, trace)
    SELECT n.order_id, n.placed_at, n.customer::json, n.details::json, n.currency, 0,
           n.state, n.amount, n.undo::text[], n.news::jsonb, n.trace
    FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
                $8::text[], $9::text[], $10::text[])
         AS n (order_id, placed_at, customer, details, currency, state, amount, undo, news, trace)
    ON CONFLICT (order_id) DO NOTHING
    RETURNING order_id"""

_PLACED = """
    SELECT order_id, customer::text AS customer, details::text AS details, currency, state, reason, trace
    FROM orders WHERE order_id = ANY($1::text[])"""

_entries = TypeAdapter(tuple[Entry, ...])


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that is stored: what was asked for, to compare, where it stands, and the trace it began in."""

    body: tuple[str, str, str]
    state: State
    reason: CancelReason | None
    trace: str | None


async def load(tx: Transaction, keys: Sequence[str]) -> dict[str, Order]:
    """Lock and read the orders with these ids; unknown ids are left out."""
    return {row["order_id"]: _order(row) for row in await tx.fetch(_LOAD, list(keys))}


async def save(tx: Transaction, orders: Sequence[Order]) -> None:
    """Write the orders back and append their news to their history. They must have been loaded in `tx`."""
    if not orders:
        return
    await tx.execute(
        _SAVE,
        [order.id for order in orders],
        [order.attempt for order in orders],
        [order.state for order in orders],
        [order.reason for order in orders],
        [order.amount for order in orders],
        [_array(order.undo) for order in orders],
        [_news(order) for order in orders],
    )


async def insert(tx: Transaction, placed: Iterable[tuple[Order, OrderCreated, str | None]]) -> set[str]:
    """Store new orders, each with its trace, and give the ids of those that were not there yet."""
    rows = sorted((_row(order, created, trace) for order, created, trace in placed), key=itemgetter(0))
    stored = await tx.fetch(_INSERT, *map(list, zip(*rows, strict=True))) if rows else ()
    return {row["order_id"] for row in stored}


async def placed(tx: Transaction, keys: Sequence[str]) -> dict[str, Placed]:
    """Read what these orders were placed with."""
    return {
        row["order_id"]: Placed(
            (row["customer"], row["details"], row["currency"]), _state(row), _reason(row), row["trace"]
        )
        for row in (await tx.fetch(_PLACED, list(keys)) if keys else ())
    }


def body(created: OrderCreated) -> tuple[str, str, str]:
    """Return what was ordered as it is stored: customer, details, currency. Equal orders give equal texts."""
    details = created.model_dump_json(by_alias=True, exclude={"order_id", "customer", "currency"})
    return created.customer.model_dump_json(by_alias=True), details, created.currency


def _row(order: Order, created: OrderCreated, trace: str | None) -> tuple[Any, ...]:
    at, stands, owed = order.news[0].at, order.state, _array(order.undo)
    customer, details, currency = body(created)
    return order.id, at, customer, details, currency, stands, order.amount, owed, _news(order), trace


def _order(row: Mapping[str, Any]) -> Order:
    return Order(
        id=row["order_id"],
        customer=Customer.model_validate_json(row["customer"]),
        currency=row["currency"],
        amount=row["amount"],
        state=_state(row),
        undo=frozenset(map(Undo, row["undo"])),
        reason=_reason(row),
        attempt=row["attempt"],
        trace=row["trace"],
    )


def _state(row: Mapping[str, Any]) -> State:
    return State(row["state"])


def _reason(row: Mapping[str, Any]) -> CancelReason | None:
    return CancelReason(row["reason"]) if row["reason"] else None


def _array(undo: frozenset[Undo]) -> str:
    return "{" + ",".join(sorted(undo)) + "}"


def _news(order: Order) -> str:
    return _entries.dump_json(order.news, exclude_none=True).decode()
