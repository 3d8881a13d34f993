"""A long run under a steady load: `make soak`, for SOAK_MINUTES. What a short test cannot see are things that pile up.

In the first half a service, Kafka or Postgres dies now and then. In the second nobody dies, so that memory can be
compared: a process that grows with every order is larger at the end than in the middle. At the end the same oracles
judge as after every test of faults, over all orders. The figures stand in artifacts/soak.json.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random

import pytest

from bench.cost import memory_mb
from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.postgres import Postgres
from support.flow.chaos import Load, kill_and_restart
from support.flow.fleet import Fleet
from support.flow.orders import NO_RETRIES, Shop, open_fleet, shop_of, start_all
from support.tools.programs import executed

MINUTES = float(os.environ.get("SOAK_MINUTES", "10"))
ORDERS_A_ROUND, ROUND_SECONDS = 200, 10.0
GRACE_SECONDS = 900
GROWTH_MB, GROWTH_SHARE = 16, 0.15
SEED = 4720


@pytest.fixture
def fleet(private_kafka: Kafka, private_postgres: Postgres, scratch: Path) -> Iterator[Fleet]:
    """The reference flow on servers of its own, where the first failure of an event is its last."""
    with open_fleet(private_kafka.bootstrap, private_postgres.admin_url, scratch, delivery=NO_RETRIES) as fleet:
        fleet.program = executed  # what they take of memory is measured
        start_all(fleet)
        yield fleet


@pytest.fixture
async def shop(fleet: Fleet) -> AsyncIterator[Shop]:
    """A client of the fleet."""
    async with shop_of(fleet) as shop:
        yield shop


class Chaos:
    """What dies next: of eight deaths one is Kafka's, one Postgres's, and the others are a service's."""

    def __init__(self, fleet: Fleet, kafka: Kafka, postgres: Postgres) -> None:
        self._fleet, self._servers = fleet, {"kafka": kafka, "postgres": postgres}
        self._random = Random(SEED)
        self._services = [service.name for service in fleet.flow.spec.services]
        self.deaths: list[str] = []

    async def strike(self) -> None:
        """Kill one and start it again."""
        await asyncio.sleep(self._random.uniform(0, ROUND_SECONDS / 2))
        services = [self._random.choice(self._services) for _ in range(6)]
        name = self._random.choice([*services, *self._servers])
        self.deaths.append(name)
        if name in self._servers:
            await asyncio.to_thread(self._servers[name].kill)
            await asyncio.sleep(self._random.uniform(0, 3))
            await asyncio.to_thread(self._servers[name].start)
        else:
            await kill_and_restart(self._fleet, f"{name}-0")


async def rest() -> None:
    """Disturb nothing."""


@pytest.mark.timeout(MINUTES * 60 + GRACE_SECONDS)
async def test_nothing_piles_up(shop: Shop, private_kafka: Kafka, private_postgres: Postgres) -> None:
    """Every order ends, everything owed is settled, and no service's memory grows with the orders it has handled."""
    load, chaos = Load(shop), Chaos(shop.fleet, private_kafka, private_postgres)
    await keep_up(load, MINUTES * 30, chaos)
    await keep_up(load, MINUTES * 6)
    middle, orders = memory(shop.fleet), load.placed
    await keep_up(load, MINUTES * 24)
    end = memory(shop.fleet)
    verdict = await load.verdict(seconds=GRACE_SECONDS / 2)
    sizes = {name: {"middle": middle[name], "end": end[name]} for name in end}
    figures = {"minutes": MINUTES, "orders": load.placed, "orders_after_the_middle": load.placed - orders}
    write(figures | {"deaths": chaos.deaths, "memory_mb": sizes, "verdict": verdict})
    allowed = {name: size * (1 + GROWTH_SHARE) + GROWTH_MB for name, size in middle.items()}
    assert not {name: sizes[name] for name in end if end[name] > allowed[name]}, sizes


async def keep_up(load: Load, seconds: float, chaos: Chaos | None = None) -> None:
    """Place orders at the steady rate for so long; with chaos something dies in every third round."""
    until, turn = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        next_round = time.monotonic() + ROUND_SECONDS
        await load.during(ORDERS_A_ROUND, chaos.strike if chaos and turn % 3 == 0 else rest)
        turn += 1
        await asyncio.sleep(max(0.0, next_round - time.monotonic()))


def memory(fleet: Fleet) -> dict[str, float]:
    """Give the MiB of every process but the provider's, which remembers every payment on purpose."""
    found, _ = memory_mb({name: process.pid for name, process in fleet.processes.items() if name != "provider"})
    return {name: round(size, 1) for name, size in found.items()}


def write(figures: dict[str, object]) -> None:
    """Keep the figures, and show them."""
    file = Path("artifacts/soak.json")
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"\n{file.read_text()}")
