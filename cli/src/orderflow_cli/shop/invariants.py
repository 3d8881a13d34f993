"""Judges a flow at rest by what its database holds: nothing owed, money and stock conserved, every order ended.

`orderflow run --until-done` waits until `at_rest`, then prints `check`'s findings; tests use both as their oracle.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import asyncpg

from orderflow_model.flow import OrderFlow
from orderflow_model.names import schema_name

_OWED = ("outbox", "parked", "timers", "calls")
_ENDED = ("COMPLETED", "CANCELLED")
_STUCK = "COMPENSATION_FAILED"  # an end that needs a person: waiting longer does not help


@dataclass(frozen=True)
class Finding:
    """One invariant: whether it holds, and the figures it was judged by."""

    name: str
    holds: bool
    figures: str


@dataclass(frozen=True)
class Sums:
    """The business figures of the reference flow; None where the flow has no such table. Money in minor units."""

    orders: dict[str, int]
    stock: asyncpg.Record | None
    captured: int | None
    refunded: int | None
    shipped: int | None


async def order_states(connection: asyncpg.Connection) -> dict[str, int]:
    """Return how many orders are in each state; empty where the flow has no orders table."""
    if not await _has(connection, "order", "orders"):
        return {}
    rows = await connection.fetch('select state, count(*) as n from "order".orders group by state order by state')
    return {row["state"]: row["n"] for row in rows}


async def owed(connection: asyncpg.Connection, flow: OrderFlow) -> dict[str, int]:
    """Return the rows of work not yet done, by `service.table`; only those that are not 0."""
    counts = {}
    for schema in _schemas(flow):
        for table in _OWED:
            count = await connection.fetchval(f'select count(*) from "{schema}"."{table}"')  # noqa: S608 - fixed names
            if count:
                counts[f"{schema}.{table}"] = count
    return counts


async def dead_letters(connection: asyncpg.Connection, flow: OrderFlow) -> dict[str, int]:
    """Return the events in the dead-letter topics, by service and reason's first line; only those not put back."""
    found = {}
    for schema in _schemas(flow):
        rows = await connection.fetch(
            f"select split_part(reason, e'\\n', 1) as reason, count(*) as n "  # noqa: S608 - fixed names
            f"from \"{schema}\".dead_letters where state = 'Dead' group by 1"
        )
        found.update({f"{schema}: {row['reason']}": row["n"] for row in rows})
    return found


async def at_rest(connection: asyncpg.Connection, flow: OrderFlow) -> bool:
    """Return whether every order has ended, well or not, and no service owes anything."""
    states = await order_states(connection)
    return all(state in (*_ENDED, _STUCK) for state in states) and not await owed(connection, flow)


async def check(connection: asyncpg.Connection, flow: OrderFlow) -> list[Finding]:
    """Return all invariants that apply to the flow's tables, judged in one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        sums = await _sums(connection)
        debts = await owed(connection, flow)
    nothing_owed = Finding("no work left over", not debts, _listed(debts) or "outbox, parked, timers, calls: 0")
    return [*_orders_end(sums), *_stock_is_conserved(sums), *_money_is_conserved(sums), nothing_owed]


async def _sums(connection: asyncpg.Connection) -> Sums:
    stock_sums = (
        "select sum(on_hand)::bigint as on_hand, sum(reserved)::bigint as reserved, sum(sold)::bigint as sold, "
        "sum(initial)::bigint as initial from inventory.stock"
    )
    has_stock = await _has(connection, "inventory", "stock")
    return Sums(
        orders=await order_states(connection),
        stock=await connection.fetchrow(stock_sums) if has_stock else None,
        captured=await _sum(connection, "payment", "payment", "captured"),
        refunded=await _sum(connection, "payment", "payment", "refunded"),
        shipped=await _sum(connection, "shipping", "shipment", "value", where="state = 'CREATED'"),
    )


def _orders_end(sums: Sums) -> Iterable[Finding]:
    if sums.orders:
        ended = all(state in _ENDED for state in sums.orders)
        yield Finding("every order ended", ended, _listed(sums.orders))


def _stock_is_conserved(sums: Sums) -> Iterable[Finding]:
    if sums.stock is not None:
        on_hand, reserved, sold, initial = sums.stock
        yield Finding("nothing stays reserved", reserved == 0, f"reserved {reserved}")
        figures = f"{sold} sold + {on_hand} on hand = {sold + on_hand} of {initial}"
        yield Finding("stock is conserved", sold + on_hand == initial, figures)


def _money_is_conserved(sums: Sums) -> Iterable[Finding]:
    if sums.captured is not None and sums.refunded is not None and sums.shipped is not None:
        right = sums.captured == sums.shipped + sums.refunded
        figures = f"captured {_money(sums.captured)}, shipped {_money(sums.shipped)} + refunded {_money(sums.refunded)}"
        yield Finding("money is conserved", right, figures)


async def _sum(connection: asyncpg.Connection, schema: str, table: str, column: str, where: str = "true") -> int | None:
    if not await _has(connection, schema, table):
        return None
    query = f"select coalesce(sum({column}), 0)::bigint from {schema}.{table} where {where}"  # noqa: S608 - fixed names
    return int(await connection.fetchval(query))


async def _has(connection: asyncpg.Connection, schema: str, table: str) -> bool:
    return await connection.fetchval("select to_regclass($1)", f'"{schema}"."{table}"') is not None


def _schemas(flow: OrderFlow) -> Sequence[str]:
    return [schema_name(service.name) for service in flow.services]


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _money(minor_units: int) -> str:
    return f"{minor_units // 100}.{minor_units % 100:02}"
