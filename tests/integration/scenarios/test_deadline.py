"""A participant that is silent past the saga's deadline: its order is undone, and late answers change nothing more."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.postgres import Postgres
from support.flow.fleet import Fleet
from support.flow.oracles import judge, until_at_rest
from support.flow.orders import Shop, open_fleet

PARTICIPANTS = ("inventory", "payment", "shipping")


@pytest.fixture(scope="module")
def fleet(kafka: Kafka, postgres: Postgres, scratch: Path) -> Iterator[Fleet]:
    """The reference flow with two seconds for an order; the tests start what they need."""
    with open_fleet(kafka.bootstrap, postgres.admin_url, scratch, deadline="2s") as fleet:
        names = [fleet.start(service) for service in ("order", "notification")]
        asyncio.run(fleet.until_ready("provider", *names))
        yield fleet


@pytest.mark.parametrize("silent", PARTICIPANTS)
async def test_an_order_is_undone_when_a_participant_is_silent(shop: Shop, silent: str) -> None:
    """One of the three is away: at the deadline the order is cancelled, whether it can be undone yet or not."""
    others = [shop.fleet.start(service) for service in PARTICIPANTS if service != silent]
    await shop.fleet.until_ready(*others)
    order = await shop.place()
    late = await shop.until(order, "CANCELLED", "COMPENSATION_FAILED")
    assert late["reason"] == "DEADLINE"
    if silent != "shipping":
        # nobody has said that money or stock is safe: the order must not be called undone
        assert (late["state"], bool(late["undo"])) == ("COMPENSATION_FAILED", True)
    shop.fleet.start(silent)
    assert (await shop.until(order, "CANCELLED"))["undo"] == []
    orders = await shop.fleet.fetch('SELECT count(*) AS n FROM "order".orders')
    await until_at_rest(shop.fleet, orders[0]["n"])
    print(await judge(shop.fleet))
    for service in PARTICIPANTS:
        shop.fleet.kill(f"{service}-0")
