"""Runs of the saga as the read model lists them, on a real Postgres with many orders."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from orderflow_console.queries.database import Database
from orderflow_console.queries.instances import (
    Instance,
    InstanceFilter,
    Phase,
    count_open,
    get_instance,
    list_instances,
)
from orderflow_console.queries.paging import Page
from support.records.stored_orders import order_id, park, set_state, store_orders
from support.tools.portion import Portion

QUICK_S = 0.1


async def quickest(ask: Callable[[], Awaitable[Any]]) -> float:
    """The least time of some tries: how long it takes, not how busy the machine is."""
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        await ask()
        times.append(time.perf_counter() - begun)
    return min(times)


async def all_of(reads: Database, where: InstanceFilter, limit: int = 50) -> list[Instance]:
    """All items, page by page."""
    found: list[Instance] = []
    page: Page[Instance] = await list_instances(reads, where, None, limit)
    found += page.items
    while page.next is not None:
        page = await list_instances(reads, where, page.next, limit)
        found += page.items
    return found


async def test_a_first_page_of_many_orders_is_quick(admin: asyncpg.Connection, reads: Database, chaos: Portion) -> None:
    """Whatever is asked of a million orders (a tenth of them in `make test`), a page comes in less than 100 ms."""
    count = chaos.size(1_000_000)
    await store_orders(admin, count)
    for number in range(count - 200, count):
        await set_state(admin, order_id(number), "PAID", deadline=True)
    await set_state(admin, order_id(1), "COMPENSATION_FAILED")
    await park(admin, order_id(7), "the provider is away")
    stuck = InstanceFilter(phases=frozenset({Phase.STUCK}))
    for where, items in (
        (InstanceFilter(), 50),
        (InstanceFilter(customer="c7"), min(50, count // 5000)),
        (InstanceFilter(state="CANCELLED"), 50),
        (InstanceFilter(state="PAID"), 50),
        (stuck, 1),
        (InstanceFilter(retrying_because="provider"), 1),
        (InstanceFilter(reason="NEVER"), 0),
    ):
        assert len((await list_instances(reads, where)).items) == items, where
        assert await quickest(lambda where=where: list_instances(reads, where)) < QUICK_S, where
    assert [one.id for one in await all_of(reads, stuck)] == [order_id(1)]
    assert await quickest(lambda: count_open(reads)) < QUICK_S
    assert await count_open(reads) == {
        "PENDING": 0, "RESERVED": 0, "PAID": 200, "SHIPPED": 0, "CANCELLING": 0, "COMPENSATION_FAILED": 1,
    }  # fmt: skip


async def test_pages_leave_nothing_out_and_repeat_nothing(admin: asyncpg.Connection, reads: Database) -> None:
    """Page by page comes each order once, the newest first, whatever is placed meanwhile."""
    await store_orders(admin, 1_000)
    page = await list_instances(reads, InstanceFilter(), None, 300)
    await admin.execute(
        """INSERT INTO "order".orders SELECT 'new', now() + interval '1 day', customer, details, currency, attempt,
        state, reason, amount, undo, history FROM "order".orders LIMIT 1"""
    )
    ids = [one.id for one in page.items]
    while page.next is not None:
        page = await list_instances(reads, InstanceFilter(), page.next, 300)
        ids += [one.id for one in page.items]
    assert ids == [order_id(number) for number in range(1_000, 0, -1)]
    first = await get_instance(reads, order_id(1))
    assert (first.state, first.phase, first.customer) == ("COMPLETED", Phase.ENDED, "c1")
    assert [one.id for one in await all_of(reads, InstanceFilter(since=first.begun_at, until=first.begun_at))] == []
    second = await get_instance(reads, order_id(2))
    assert [one.id for one in await all_of(reads, InstanceFilter(until=second.begun_at))] == [order_id(1)]


async def test_what_is_rare_and_old_is_not_said_to_be_none(admin: asyncpg.Connection, reads: Database) -> None:
    """A search that ends before the last order says how far it looked, and goes on from there until it has found."""
    await store_orders(admin, 25_000)
    await admin.execute('UPDATE "order".orders SET reason = $1 WHERE order_id = $2', "OUT_OF_STOCK", order_id(20))
    where = InstanceFilter(state="CANCELLED", reason="OUT_OF_STOCK")
    page = await list_instances(reads, where)
    assert page.items == ()
    assert page.looked_back_to == (await get_instance(reads, order_id(15_001))).begun_at
    assert [one.id for one in await all_of(reads, where)] == [order_id(20)]


async def test_an_order_that_waits_for_a_person_is_listed_until_it_goes_on(
    admin: asyncpg.Connection, reads: Database
) -> None:
    """Stuck and undated orders are known by state, through every change of it, and no others."""
    await store_orders(admin, 40)
    await set_state(admin, order_id(3), "COMPENSATION_FAILED")
    await set_state(admin, order_id(4), "SHIPPED")
    await set_state(admin, order_id(5), "RESERVED", deadline=True)
    unended = InstanceFilter(phases=frozenset({Phase.STUCK, Phase.OPEN}))
    assert [(one.id, one.phase) for one in await all_of(reads, unended)] == [
        (order_id(5), Phase.OPEN),
        (order_id(4), Phase.OPEN),
        (order_id(3), Phase.STUCK),
    ]
    assert [one.id for one in await all_of(reads, InstanceFilter(state="COMPENSATION_FAILED"))] == [order_id(3)]
    await set_state(admin, order_id(3), "CANCELLED")
    await set_state(admin, order_id(4), "COMPLETED")
    assert [one.id for one in await all_of(reads, unended)] == [order_id(5)]


async def test_what_is_retried_now_is_found_by_its_reason(admin: asyncpg.Connection, reads: Database) -> None:
    """An event that fails is its order's; one that waits behind it is not retried, and another reason is another."""
    await store_orders(admin, 10)
    await park(admin, order_id(1), "provider: connection refused")
    await park(admin, order_id(2), "no such card")
    await admin.execute("UPDATE payment.parked SET attempts = 0 WHERE key = $1", order_id(2))
    await park(admin, order_id(3), "no such table")
    assert {one.id for one in await all_of(reads, InstanceFilter(retrying=True))} == {order_id(1), order_id(3)}
    assert [one.id for one in await all_of(reads, InstanceFilter(retrying_because="refused"))] == [order_id(1)]
