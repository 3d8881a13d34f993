"""Whoever reads Delta or Parquet finds in the curated tables the same as everybody else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest
from deltalake import DeltaTable

from orderflow_shop.events import Address, Customer, Line, OrderCreated, PaymentMethod
from support.analytics.stored import Site, cancelled, ran, told

TABLES = ("curated/order_created", "curated/order_cancelled", "quarantine", "raw")
Rows = list[dict[str, Any]]


def by_pandas(table: Path) -> Rows:
    """Read by pandas, through PyArrow's types."""
    frame: pd.DataFrame = DeltaTable(table).to_pandas(types_mapper=pd.ArrowDtype)
    return [
        {name: None if value is pd.NA else _plain(value) for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def by_polars(table: Path) -> Rows:
    """Read by Polars' own reader of Delta."""
    return pl.read_delta(str(table)).to_dicts()


def by_duckdb(table: Path) -> Rows:
    """Read by DuckDB, which is given the table's files as a set of Arrow's."""
    rows = DeltaTable(table).to_pyarrow_dataset()
    assert rows is not None
    with duckdb.connect() as connection:
        connection.execute("SET timezone = 'UTC'")
        return connection.sql("SELECT * FROM rows").to_arrow_table().to_pylist()


def by_pyarrow(table: Path) -> Rows:
    """Read by PyArrow."""
    return DeltaTable(table).to_pyarrow_table().to_pylist()


def _plain(value: Any) -> Any:
    return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value


def in_order(rows: Rows) -> Rows:
    """Return rows by their events, each in the order of columns' names."""
    return sorted((dict(sorted(row.items())) for row in rows), key=lambda row: row["event_id"])


@pytest.mark.parametrize("read", [by_pandas, by_polars, by_duckdb])
async def test_all_readers_read_the_same(site: Site, read: Callable[[Path], Rows]) -> None:
    """Times, nested fields, lists, missing values and bytes, as PyArrow has them."""
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
    for table in TABLES:
        expected = in_order(by_pyarrow(site.lake / table))
        assert in_order(read(site.lake / table)) == expected
        assert expected
