"""Whoever reads Delta or Parquet finds in the lake's tables the same as everybody else."""

import asyncio
import os
import pickle
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from orderflow_shop.events import Address, Customer, Line, OrderCreated, PaymentMethod
from support.analytics.stored import Site, cancelled, ran, told
from support.tools.python_tools import python_program

TESTS = Path(__file__).parents[1]
READERS, SPARK = (TESTS / "support" / "analytics" / name for name in ("readers.py", "spark_reader.py"))
POM = TESTS / "tools" / "spark" / "pom.xml"
TABLES = ("curated/order_created", "curated/order_cancelled", "quarantine", "raw")
Rows = list[dict[str, Any]]


async def kept(site: Site) -> dict[str, Rows]:
    """Fill a lake with times, nested fields, lists and bytes; return its tables as PyArrow reads them."""
    lines = (Line(sku="SKU-1", quantity=2, unit_price=500), Line(sku="Grün 2", quantity=1, unit_price=1))
    created = OrderCreated(
        order_id="o1",
        customer=Customer(id="c1", email="ann@example.org", name="Ann"),
        lines=lines,
        currency="EUR",
        payment=PaymentMethod(token="tok_ok"),  # noqa: S106 - the provider's word for a card that works
        ship_to=Address(name="A", street="s", city="c", country="DE"),
        allow_partial=False,
    )
    await site.put([told(created), cancelled("o1"), cancelled("o2", reason="WEATHER")])
    await ran(site)
    return {str(site.lake / table): DeltaTable(site.lake / table).to_pyarrow_table().to_pylist() for table in TABLES}


async def test_all_readers_read_the_same(site: Site) -> None:
    """Every value comes to pandas, Polars and DuckDB as to PyArrow."""
    places = await kept(site)
    python = python_program("readers").with_name("python")
    command = [python, READERS, *places]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    for table, by_reader in pickle.loads(done.stdout).items():  # noqa: S301 - our own program's
        expected = in_order(places[table])
        assert expected
        assert {reader: in_order(rows) == expected for reader, rows in by_reader.items()} == {
            "by_pandas": True,
            "by_polars": True,
            "by_duckdb": True,
        }


@pytest.mark.timeout(900)
@pytest.mark.skipif("ORDERFLOW_TEST_SPARK" not in os.environ, reason="Spark is some 600 MB: make test-spark")
async def test_spark_reads_the_same(site: Site, tmp_path: Path) -> None:
    """Every value comes to Spark 4.1 with Delta 4.2 as to PyArrow."""
    places = await kept(site)
    program, rows, jars = python_program("spark").with_name("python"), tmp_path / "rows", tmp_path / "jars"
    fetch = ["mvn", "-q", "-B", "-f", POM, "dependency:copy-dependencies", f"-DoutputDirectory={jars}"]
    await run([*fetch, "-DincludeGroupIds=io.delta,io.unitycatalog"], {})
    await run([program, SPARK, jars, *places], {"ROWS": str(rows), "TZ": "UTC"})
    found = pickle.loads(rows.read_bytes())  # noqa: S301 - our own program's
    for table, expected in places.items():
        assert in_order(found[table]) == in_order(expected)
        assert expected


async def run(command: Sequence[str | Path], env: Mapping[str, str]) -> None:
    """Run a program, which has to end well."""
    done = await asyncio.to_thread(subprocess.run, command, env=os.environ | env, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def in_order(rows: Rows) -> Rows:
    """Return rows by their events, each in the order of columns' names."""
    return sorted((dict(sorted(row.items())) for row in rows), key=lambda row: row["event_id"])
