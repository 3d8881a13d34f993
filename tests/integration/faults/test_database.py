"""A Postgres that restarts and crashes, and COMMITs of which nobody knows whether they happened."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import psutil
import pytest

from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.postgres import Postgres
from support.flow.chaos import Load, pauses
from support.flow.fleet import Fleet
from support.flow.orders import Shop, open_fleet, shop_of, start_all
from support.tools.portion import Portion
from support.tools.proxy import losing_proxy

RESTARTS = 10
ORDERS = 200
LOST = 10
IMPATIENT = {"retries": 0, "timeout": "3s"}
FROZEN_SECONDS = 8


@pytest.fixture
def fleet(kafka: Kafka, private_postgres: Postgres, scratch: Path) -> Iterator[Fleet]:
    """The reference flow on a Postgres of its own, where one failure of an event is its last; the tests start it."""
    with open_fleet(kafka.bootstrap, private_postgres.admin_url, scratch, delivery=IMPATIENT) as fleet:
        yield fleet


@pytest.mark.timeout(400)
async def test_postgres_restarted_ten_times_loses_nothing(
    shop: Shop, private_postgres: Postgres, chaos: Portion
) -> None:
    """Under load the database is killed or shut down, in turn, and comes back at the same address."""
    await asyncio.to_thread(start_all, shop.fleet)
    load, turns = Load(shop), chaos.turns(range(RESTARTS))
    for number in turns:
        waits = pauses(Random(f"4714 {number}"), 0.2, 1.5)
        end = private_postgres.stop if number % 2 else private_postgres.kill

        async def disturb(waits: Iterator[float] = waits, end: Callable[[], None] = end) -> None:
            await asyncio.sleep(next(waits))
            await asyncio.to_thread(end)
            await asyncio.sleep(next(waits))
            await asyncio.to_thread(private_postgres.start)

        await load.during(ORDERS, disturb)
    print(f"\n{len(turns)} restarts of Postgres: {await load.verdict()}")


@pytest.mark.timeout(400)
async def test_a_lost_commit_is_neither_lost_nor_done_twice(fleet: Fleet, chaos: Portion) -> None:
    """Of the COMMITs one in ten is lost on its way, or done with its answer lost: every effect still happens once."""
    with losing_proxy(fleet.admin_url, Random(f"4715 {chaos.number}")) as (proxy, through):
        direct, fleet.admin_url = fleet.admin_url, through
        await asyncio.to_thread(start_all, fleet)
        fleet.admin_url = direct
        async with shop_of(fleet) as shop:
            load = Load(shop)
            proxy.share = 0.1
            while min(proxy.lost.values()) < chaos.size(LOST):
                await load.place(30)
            proxy.share = 0
            print(f"\nCOMMITs lost {proxy.lost}: {await load.verdict()}")
        fleet.stop()


@pytest.mark.timeout(400)
async def test_a_frozen_postgres_is_no_failure_of_any_event(shop: Shop, private_postgres: Postgres) -> None:
    """Frozen under load for longer than a handler may take: no event is blamed, or it would be a dead letter."""
    fleet = shop.fleet
    await asyncio.to_thread(start_all, fleet)
    load = Load(shop)

    async def disturb() -> None:
        await asyncio.sleep(0.3)
        family = [server := psutil.Process(private_postgres.pid), *server.children(recursive=True)]
        for process in family:
            process.suspend()
        await asyncio.sleep(FROZEN_SECONDS)
        for process in family:
            process.resume()

    await load.during(600, disturb)
    print(f"\nPostgres frozen for {FROZEN_SECONDS} s: {await load.verdict()}")
