"""SIGKILL at every named point of every service, on one fleet: each finds what all before it left behind."""

import asyncio
import signal
import sys
import time
from pathlib import Path

import pytest

from support.flow.fleet import Fleet
from support.flow.oracles import judge, until_at_rest
from support.flow.orders import Shop, mixture
from support.runtime import faulty

SERVICES = ("order", "inventory", "payment", "shipping", "notification")
CASES = [(service, point) for service in SERVICES for point in faulty.POINTS]
CASES += [("order", point) for point in faulty.INTAKE_POINTS]
AT_ONCE = 20
SECOND = "2"


@pytest.mark.chaos
@pytest.mark.parametrize(("service", "point"), CASES)
async def test_a_service_killed_at_a_point_loses_and_doubles_nothing(shop: Shop, service: str, point: str) -> None:
    """Orders flow, the service dies at the point, is started again as it is shipped, and all orders end exactly."""
    started, fleet = time.monotonic(), shop.fleet
    fleet.kill(f"{service}-0")
    fleet.start(service, command=[sys.executable, str(Path(faulty.__file__)), service, point, SECOND])
    enough = asyncio.Event()
    placing = asyncio.create_task(_keep_placing(shop, enough))
    try:
        assert await _death_of(fleet, f"{service}-0") == -signal.SIGKILL
    finally:
        enough.set()
        fleet.start(service)
    await placing
    orders = (await fleet.fetch('SELECT count(*) AS n FROM "order".orders'))[0]["n"]
    await until_at_rest(fleet, orders)
    print(f"\n{service} {point}: {await judge(fleet)}; {time.monotonic() - started:.1f} s")


async def _keep_placing(shop: Shop, enough: asyncio.Event) -> None:
    while not enough.is_set():
        await shop.place_all(mixture(AT_ONCE))
        await asyncio.sleep(0.2)


async def _death_of(fleet: Fleet, name: str) -> int | None:
    """Wait until the process ends by itself, and give its exit code; None when it does not."""
    process = fleet.processes[name]
    for _ in range(600):
        if process.poll() is not None:
            break
        await asyncio.sleep(0.05)
    return process.returncode
