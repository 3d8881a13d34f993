"""Whoever reads Delta or Parquet finds in the lake's tables the same as everybody else."""

import asyncio
import pickle
import subprocess
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from orderflow_shop.events import Address, Customer, Line, OrderCreated, PaymentMethod
from support.analytics.stored import Site, cancelled, ran, told
from support.tools.python_tools import python_program

READERS = Path(__file__).parents[1] / "support" / "analytics" / "readers.py"
TABLES = ("curated/order_created", "curated/order_cancelled", "quarantine", "raw")
Rows = list[dict[str, Any]]


async def test_all_readers_read_the_same(site: Site) -> None:
    """Times, nested fields, lists, missing values and bytes come to pandas, Polars and DuckDB as to PyArrow."""
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
    places = {str(site.lake / table): DeltaTable(site.lake / table).to_pyarrow_table().to_pylist() for table in TABLES}
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


def in_order(rows: Rows) -> Rows:
    """Return rows by their events, each in the order of columns' names."""
    return sorted((dict(sorted(row.items())) for row in rows), key=lambda row: row["event_id"])
