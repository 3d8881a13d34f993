"""Adding a service is one entry in the resource and one folder: here to the reference flow while it runs."""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.kafka_topics import ensure_topics
from orderflow_cli.servers.postgres import Postgres
from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import parse_flow
from orderflow_model.service_part import service_config
from orderflow_model.topics import flow_topics
from orderflow_runtime.postgres.migrator import migrate
from support.flow.fleet import PASSWORD, Fleet, until
from support.flow.orders import SHOP, open_fleet, order, shop_of, start_all

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SUFFIXES = (".py", ".sql", ".yaml")
SOURCES = ("model/src", "runtime/src", "services/src", "cli/src", "console/src", "manifests")

ENTRY = yaml.safe_load("""
name: loyalty
image: orderflow/services:dev
command: [python, -m, orderflow_loyalty]
subscribes: [ORDER_COMPLETED]
""")


def with_loyalty(flow: OrderFlow) -> OrderFlow:
    """The reference flow as its file says, and one entry more."""
    data = yaml.safe_load(SHOP.read_text())
    data["metadata"]["name"] = flow.metadata.name
    data["spec"]["services"].append(ENTRY)
    return parse_flow(data)


def knowing_it() -> list[Path]:
    """The files of the flow's own software and resource that speak of loyalty."""
    files = [path for folder in SOURCES for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES]
    assert len(files) > 100
    return [path for path in files if "loyalty" in path.read_text().lower()]


@pytest.fixture
def fleet(kafka: Kafka, postgres: Postgres, scratch: Path) -> Iterator[Fleet]:
    """The reference flow, running."""
    with open_fleet(kafka.bootstrap, postgres.admin_url, scratch) as fleet:
        start_all(fleet)
        yield fleet


async def add(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> str:
    """Do what `orderflow run` or the operator does with a changed resource: topics, migration, a process more."""
    monkeypatch.syspath_prepend(HERE)
    fleet.extra_env["PYTHONPATH"] = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    fleet.flow = with_loyalty(fleet.flow)
    await asyncio.to_thread(ensure_topics, fleet.bootstrap, flow_topics(fleet.flow))
    await migrate(fleet.admin_url, fleet.flow, {service.name: PASSWORD for service in fleet.flow.spec.services})
    return fleet.start("loyalty")


async def test_a_service_is_added_to_the_running_flow(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loyalty grants points once per completed order, those before it came included, through kills and restarts."""
    running = {name: process.pid for name, process in fleet.processes.items()}
    flow, others = fleet.flow, {s.name: service_config(fleet.flow, s.name) for s in fleet.flow.spec.services}
    async with shop_of(fleet) as shop:
        orders = await shop.place_all(order(lines=[("SKU-0001", n % 3 + 1, 250)]) for n in range(100))
        declined = await shop.place_all(order(card="tok_declined") for _ in range(5))
        name = await add(fleet, monkeypatch)
        await fleet.until_ready(name)
        await until(lambda: granted(fleet, 1), "the first points")
        for _ in range(3):
            orders += await shop.place_all(order(lines=[("SKU-0002", 2, 250)]) for _ in range(100))
            fleet.kill(name)
            name = fleet.start("loyalty")
        await fleet.until_ready(name)
        await until(lambda: granted(fleet, len(orders)), f"points for {len(orders)} orders", 120)
    await check_grants(fleet, declined)
    assert not knowing_it()
    assert fleet.flow.spec.services[:-1] == flow.spec.services
    assert fleet.flow.spec.model_copy(update={"services": flow.spec.services}) == flow.spec
    assert {name: pid for name, pid in running.items() if fleet.processes[name].poll() is None} == running
    assert {name: service_config(fleet.flow, name) for name in others} == others
    assert sys.modules.get("orderflow_loyalty.handlers") is None, "nobody but its own process imports it"


async def granted(fleet: Fleet, count: int) -> bool:
    """Whether there are at least so many grants."""
    return (await fleet.fetch("SELECT count(*) AS n FROM loyalty.grants"))[0]["n"] >= count


async def check_grants(fleet: Fleet, declined: list[str]) -> None:
    """One grant for each completed order, of its amount, and none for any other; none was tried in vain."""
    rows = await fleet.fetch("SELECT order_id, points FROM loyalty.grants")
    completed = await fleet.fetch("SELECT order_id, amount FROM \"order\".orders WHERE state = 'COMPLETED'")
    assert {row["order_id"]: row["points"] for row in rows} == {
        row["order_id"]: row["amount"] // 100 for row in completed
    }
    assert len(rows) == len(completed)
    assert not {row["order_id"] for row in rows} & set(declined)
    assert not await fleet.fetch("SELECT 1 FROM loyalty.dead_letters UNION ALL SELECT 1 FROM loyalty.parked")
