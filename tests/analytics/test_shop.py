"""The shop, from orders to marts: TPC-H's orders through its services, the sink, the lake and the models."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orderflow_analytics.configuration import contracts_of
from orderflow_analytics.marts.sources import FILE, sources
from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.postgres import Postgres
from support.analytics.stored import Site, ran
from support.flow.chaos import kill_and_restart
from support.flow.cli_process import orderflow
from support.flow.fleet import Fleet
from support.flow.oracles import judge, until_at_rest
from support.flow.orders import open_fleet, shop_flow, start_all
from support.records.duplicates import Duplicator

ROOT = Path(__file__).parents[2]
EXAMPLE, PROJECT = ROOT / "examples" / "tpch", ROOT / "analytics" / "shop"
ORDERS = int(os.environ.get("ORDERFLOW_TEST_ORDERS", "2000"))
"""How many; `make test-analytics-whole` says 100,000."""
AT_REST_SECONDS = 240 + ORDERS // 50
SHARES = {"--declined": "0.05", "--unknown": "0.01", "--unserved": "0.01"}
ANALYTICS = {"image": "orderflow/services:dev", "contracts": "orderflow_shop.events", "models": str(PROJECT)}


@pytest.fixture
def fleet(kafka: Kafka, postgres: Postgres, scratch: Path) -> Iterator[Fleet]:
    """The reference flow with its sink, running."""
    with open_fleet(kafka.bootstrap, postgres.admin_url, scratch, analytics=ANALYTICS) as fleet:
        start_all(fleet)
        yield fleet


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Order lines as the example makes them."""
    tables, file = tmp_path / "tables", tmp_path / "lines.parquet"
    generator = Path(sys.executable).with_name("tpchgen-cli")
    options = ["--tables", "orders,lineitem,customer", "--output-dir", str(tables), "--quiet"]
    subprocess.run([generator, "parquet", "--scale-factor", str(ORDERS / 1_000_000), *options], check=True)
    shares = [part for share in SHARES.items() for part in share]
    subprocess.run([sys.executable, EXAMPLE / "prepare.py", tables, file, "--orders", str(ORDERS), *shares], check=True)
    return file


async def test_the_marts_say_what_the_services_databases_say(fleet: Fleet, lines: Path, tmp_path: Path) -> None:
    """To the cent and the piece, with 5 % of records repeated and a sink killed; and a second run writes nothing."""
    mapping, url = EXAMPLE / "mapping.yaml", fleet.url("order-0", "")
    with Duplicator(fleet, share=0.05):
        load = ["orders", "load", str(lines), "--mapping", str(mapping), "--url", url]
        loaded = orderflow(*load, cwd=tmp_path, seconds=AT_REST_SECONDS)
        assert loaded.returncode == 0, loaded.stderr
        await kill_and_restart(fleet, "raw-0")
        fleet.start("raw", 1)
        await until_at_rest(fleet, ORDERS, AT_REST_SECONDS)
    await until_at_rest(fleet, ORDERS, AT_REST_SECONDS)
    await judge(fleet)
    site = Site(fleet.admin_url, tmp_path, ANALYTICS)
    await ran(site)
    await compare(fleet, site)
    before = site.versions()
    assert "marts: nothing new" in await ran(site)
    assert site.versions() == before


async def compare(fleet: Fleet, site: Site) -> None:
    """Compare every mart with what the services' own tables hold."""
    orders, funnel = site.rows("serving/orders"), {row["step"]: row for row in site.rows("serving/saga_funnel")}
    by_id = {row["order_id"]: row for row in orders}
    states = await fleet.fetch('SELECT order_id, state FROM "order".orders')
    assert {row["order_id"]: row["state"] for row in states} == {key: row["outcome"] for key, row in by_id.items()}
    payments = await fleet.fetch("SELECT order_id, captured, refunded FROM payment.payment")
    money = {row["order_id"]: (row["captured"], row["refunded"]) for row in payments}
    assert {key: (row["captured"], row["refunded"]) for key, row in by_id.items()} == {
        key: money.get(key, (0, 0)) for key in by_id
    }
    revenue = site.rows("serving/revenue")
    assert sum(row["captured"] for row in revenue) == sum(captured for captured, _ in money.values()) > 0
    assert sum(row["refunded"] for row in revenue) == sum(refunded for _, refunded in money.values()) > 0
    stock = await fleet.fetch("SELECT sku, initial - on_hand AS gone FROM inventory.stock WHERE initial > on_hand")
    moved: dict[str, int] = {}
    for row in site.rows("serving/stock_by_day"):
        moved[row["sku"]] = moved.get(row["sku"], 0) + row["held"] - row["restored"]
    assert {sku: gone for sku, gone in moved.items() if gone} == {row["sku"]: row["gone"] for row in stock}
    completed = sum(row["outcome"] == "COMPLETED" for row in orders)
    assert (funnel["PLACED"]["orders"], funnel["COMPLETED"]["orders"]) == (ORDERS, completed)
    stored = await fleet.fetch("SELECT count(*) AS n, count(DISTINCT (source, id)) AS different FROM raw.events")
    assert stored[0]["n"] == stored[0]["different"] == len(site.rows("raw"))
    assert site.rows("quarantine") == []
    assert await fleet.fetch("SELECT 1 FROM raw.events_default") == []
    assert sum(row["events"] for row in site.rows("serving/event_quality")) == stored[0]["n"]


def test_the_sources_are_what_the_contracts_say() -> None:
    """Whoever changes an event writes the sources of the marts anew in the same commit."""
    flow = shop_flow("shop", analytics=ANALYTICS)
    assert (PROJECT / FILE).read_text() == sources(contracts_of(flow))
