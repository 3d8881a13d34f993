"""Events of different topics overtake each other: each is held back in turn, and every order still ends exactly."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.postgres import Postgres
from orderflow_model.loading.load import load_flow
from orderflow_model.topics import event_topic
from support.flow.fleet import Fleet, until
from support.flow.oracles import judge, unread, until_at_rest
from support.flow.orders import SHOP, Shop, mixture, open_fleet
from support.runtime import delayed_consumer

CASES = [(service.name, event) for service in load_flow(SHOP).spec.services for event in service.subscribes]
ORDERS = 40


@pytest.fixture(scope="module")
def fleet(kafka: Kafka, postgres: Postgres, scratch: Path) -> Iterator[Fleet]:
    """The reference flow, each service reading its topics when it is let."""
    with open_fleet(kafka.bootstrap, postgres.admin_url, scratch) as fleet:
        names = []
        for service in fleet.flow.spec.services:
            file = _held(fleet, service.name)
            file.write_text("")
            command = [sys.executable, str(Path(delayed_consumer.__file__)), service.name, str(file)]
            names.append(fleet.start(service.name, command=command))
        asyncio.run(fleet.until_ready("provider", *names))
        yield fleet


@pytest.mark.parametrize(("service", "event"), CASES)
async def test_an_event_that_comes_last_of_all_changes_no_end(shop: Shop, service: str, event: str) -> None:
    """Forty orders of every fate, a third of them cancelled at once, while one service does not hear of one event."""
    fleet = shop.fleet
    before = (await fleet.fetch('SELECT count(*) AS n FROM "order".orders'))[0]["n"]
    _held(fleet, service).write_text(event_topic(fleet.flow, fleet.flow.spec.event(event)).name)
    try:
        orders = await shop.place_all(mixture(ORDERS))
        for number, order in enumerate(orders):
            if number % 3 == 0:
                await shop.ask(order, "cancel")
        await until(lambda: _nothing_else_is_unread(fleet, service), f"all but {event} is read")
    finally:
        _held(fleet, service).write_text("")
    await until_at_rest(fleet, before + ORDERS)
    print(f"\n{service} hears of {event} last: {await judge(fleet)}")


async def _nothing_else_is_unread(fleet: Fleet, service: str) -> bool:
    """Two looks, a moment apart: nobody but the service lags, and nothing moves."""
    first = await _unread(fleet)
    await asyncio.sleep(0.3)
    second = await _unread(fleet)
    return first == second and not second.keys() - {service}


async def _unread(fleet: Fleet) -> dict[str, int]:
    connection = await asyncpg.connect(fleet.admin_url)
    try:
        return await unread(fleet, connection)
    finally:
        await connection.close()


def _held(fleet: Fleet, service: str) -> Path:
    return fleet.folder / f"{service}.held"
