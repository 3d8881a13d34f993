"""Two instances of every service: they join, leave, die and freeze while orders flow, and never work twice."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random

import pytest

from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.postgres import Postgres
from support.flow.chaos import Load, freeze_until_replaced, kill_and_restart
from support.flow.fleet import Fleet
from support.flow.orders import NO_RETRIES, Shop, open_fleet, shop_of, start_all
from support.tools.portion import Portion

TURNS = 50
ORDERS_A_TURN = 60
SEED = 4712


@pytest.fixture(scope="module")
def fleet(kafka: Kafka, postgres: Postgres, scratch: Path) -> Iterator[Fleet]:
    """The reference flow, every service twice."""
    with open_fleet(kafka.bootstrap, postgres.admin_url, scratch, delivery=NO_RETRIES) as fleet:
        start_all(fleet)
        seconds = [fleet.start(service.name, 1) for service in fleet.flow.spec.services]
        asyncio.run(fleet.until_ready(*seconds))
        yield fleet


@pytest.fixture
async def shop(fleet: Fleet) -> AsyncIterator[Shop]:
    """A client of both instances of the order service."""
    async with shop_of(fleet, "order-0", "order-1") as shop:
        yield shop


@pytest.mark.timeout(600)
async def test_instances_join_and_leave_fifty_times(shop: Shop, chaos: Portion) -> None:
    """Each turn one instance leaves, by request or by death, and joins again: partitions move under load."""
    load, fleet = Load(shop), shop.fleet
    names = sorted(set(fleet.processes) - {"provider"})
    turns = chaos.turns(range(TURNS))
    for number in turns:
        random = Random(f"{SEED} {number}")
        name, how = random.choice(names), random.choice([signal.SIGTERM, signal.SIGKILL])

        async def disturb(name: str = name, how: signal.Signals = how) -> None:
            await kill_and_restart(fleet, name, how)
            await fleet.until_ready(name)

        await load.during(ORDERS_A_TURN, disturb)
    print(f"\n{len(turns)} leaves and joins: {await load.verdict()}")


@pytest.mark.timeout(600)
async def test_a_frozen_instance_is_fenced_when_it_goes_on(shop: Shop, chaos: Portion) -> None:
    """Frozen past its session, an instance loses its partitions; thawed, what it holds in hand changes nothing."""
    fleet = shop.fleet
    before = (await fleet.fetch('SELECT count(*) AS n FROM "order".orders'))[0]["n"]
    load = Load(shop)
    load.placed = before
    frozen = chaos.turns(("inventory-0", "payment-1", "order-1"))
    for name in frozen:
        await load.place(200)

        async def disturb(name: str = name) -> None:
            await freeze_until_replaced(fleet, name)

        async with shop_of(fleet, "order-1" if name.endswith("-0") else "order-0") as front:
            await Load(front).during(300, disturb)
        load.placed += 300
    print(f"\n{len(frozen)} freezes: {await load.verdict()}")
