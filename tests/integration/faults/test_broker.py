"""A Kafka that is away for half a minute, or dies again and again: orders are taken all the while, and all end."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import aiohttp
import pytest

from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.postgres import Postgres
from support.flow.chaos import Load, pauses
from support.flow.fleet import Fleet
from support.flow.orders import NO_RETRIES, Shop, open_fleet, start_all
from support.tools.portion import Portion

AWAY_SECONDS = 30
KILLS = 10
SEED = 4713
ORDERS = 200


@pytest.fixture
def fleet(private_kafka: Kafka, postgres: Postgres, scratch: Path) -> Iterator[Fleet]:
    """The reference flow on a broker of its own."""
    with open_fleet(private_kafka.bootstrap, postgres.admin_url, scratch, delivery=NO_RETRIES) as fleet:
        start_all(fleet)
        yield fleet


@pytest.mark.timeout(400)
async def test_a_broker_that_is_away_stops_no_order_from_being_taken(shop: Shop, private_kafka: Kafka) -> None:
    """For 30 seconds there is no Kafka: clients are answered, no service dies, and afterwards every order ends."""
    load, fleet = Load(shop), shop.fleet
    pids = {name: process.pid for name, process in fleet.processes.items()}
    await load.place(ORDERS)
    await asyncio.to_thread(private_kafka.stop)
    away = time.monotonic() + AWAY_SECONDS
    while time.monotonic() < away:
        await load.place(50)
        await asyncio.sleep(1)
    alive = [await _is_alive(fleet, name) for name in pids]
    await asyncio.to_thread(private_kafka.start)
    assert all(alive), dict(zip(pids, alive, strict=True))
    print(f"\nbroker away {AWAY_SECONDS} s, {load.placed - ORDERS} orders taken meanwhile: {await load.verdict()}")
    assert {name: process.pid for name, process in fleet.processes.items() if process.poll() is None} == pids


@pytest.mark.timeout(400)
async def test_a_broker_killed_ten_times_loses_nothing(shop: Shop, private_kafka: Kafka, chaos: Portion) -> None:
    """The broker dies under load and comes back on the same address, ten times."""
    load, turns = Load(shop), chaos.turns(range(KILLS))
    for number in turns:
        waits = pauses(Random(f"{SEED} {number}"), 0.2, 1.5)

        async def disturb(waits: Iterator[float] = waits) -> None:
            await asyncio.sleep(next(waits))
            await asyncio.to_thread(private_kafka.kill)
            await asyncio.sleep(next(waits))
            await asyncio.to_thread(private_kafka.start)

        await load.during(ORDERS, disturb)
    print(f"\n{len(turns)} kills of the broker: {await load.verdict()}")


async def _is_alive(fleet: Fleet, name: str) -> bool:
    async with aiohttp.ClientSession() as http, http.get(fleet.url(name, "/livez")) as answer:
        return answer.status == 200
