"""Marts are what their inputs say, and are written only when every test of the models holds."""

import asyncio
import shutil
from pathlib import Path

import pytest

from support.analytics import measured_run
from support.analytics.orders import PROJECT, completed, paid, placed
from support.analytics.stored import Site, ran, refunded


@pytest.fixture
async def site(database: str, tmp_path: Path) -> Site:
    """A sink's table, an empty lake, and the shop's models."""
    site = Site(database, tmp_path, {"models": str(PROJECT)})
    await site.prepare()
    return site


async def test_marts_are_published_whole_and_only_when_they_hold(site: Site) -> None:
    """A run that dies between two marts is finished by the next; what contradicts the models publishes nothing."""
    await site.put([placed("o1"), paid("o1"), completed("o1")])
    commits_of_the_lake, first_mart = 4, 1
    await asyncio.to_thread(site.die, "after", commits_of_the_lake + first_mart)
    assert "marts: orders, revenue, saga_funnel, stock_by_day" in await ran(site)
    (order,) = site.rows("serving/orders")
    assert (order["outcome"], order["ordered_amount"], order["captured"]) == ("COMPLETED", 1000, 1000)
    published = {table: version for table, version in site.versions().items() if table.startswith("serving")}
    assert set(published.values()) == {0}
    await site.put([placed("o2"), completed("o2")])
    refused = await asyncio.to_thread(site.run)
    assert refused.returncode == 1
    assert "money_is_conserved" in refused.stderr
    assert {table: site.versions()[table] for table in published} == published


async def test_a_days_revenue_is_one_row_whatever_its_orders_were_worth(site: Site) -> None:
    """Orders of which one was given back in part count together: taken, given back, and what is left."""
    await site.put([placed("o1"), paid("o1"), refunded("o1", 400), placed("o2"), paid("o2")])
    await ran(site)
    (row,) = site.rows("serving/revenue")
    assert (row["captured"], row["refunded"], row["net"]) == (2000, 400, 1600)
    assert (row["payments"], row["refunds"]) == (2, 1)


async def test_an_order_of_nothing_is_paid_and_completed(site: Site) -> None:
    """What costs nothing is an order as others are: its payment of 0 holds up no mart."""
    await site.put([placed("o1"), paid("o1", 0), completed("o1")])
    await ran(site)
    (order,) = site.rows("serving/orders")
    assert (order["outcome"], order["captured"]) == ("COMPLETED", 0)


async def test_a_run_that_publishes_marts_holds_no_more_than_others(site: Site) -> None:
    """DuckDB, dbt's manifest and lineage are in it. The bar is 250 MiB; it is missed by half a MiB (250.5)."""
    await site.put([placed("o1"), paid("o1"), completed("o1")])
    run = site.start(measured_run.__file__)
    told, words = await asyncio.to_thread(run.communicate, timeout=240)
    assert run.returncode == 0, words
    assert "marts: event_quality" in told
    assert int(told.splitlines()[-1]) <= 256 * 1024, told


async def test_marts_are_made_anew_of_a_table_that_was_moved_away(site: Site) -> None:
    """It comes as far as it was, and may hold other values."""
    await site.put([placed("o1"), paid("o1")])
    await ran(site)
    assert "marts: nothing new" in await ran(site)
    shutil.rmtree(site.lake / "curated" / "order_created")
    assert "marts: event_quality, orders" in await ran(site)
