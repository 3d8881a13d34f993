"""Reads tables of the lake as others would, in an environment of theirs: `readers.py TABLE ...` writes a pickle of
{table: {reader: rows}}."""

import pickle
import sys
from typing import Any

import duckdb
import pandas as pd
import polars as pl
from deltalake import DeltaTable

Rows = list[dict[str, Any]]


def by_pandas(table: str) -> Rows:
    """Read by pandas, with PyArrow's types."""
    frame = DeltaTable(table).to_pandas(types_mapper=pd.ArrowDtype)
    return [{name: _plain(value) for name, value in row.items()} for row in frame.to_dict("records")]


def _plain(value: Any) -> Any:
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime()
    return None if value is pd.NA else value


def by_polars(table: str) -> Rows:
    """Read by Polars, which reads Delta by itself."""
    return pl.read_delta(table).to_dicts()


def by_duckdb(table: str) -> Rows:
    """Read by DuckDB, which takes the table's files from PyArrow."""
    with duckdb.connect() as connection:
        connection.execute("SET timezone = 'UTC'")
        connection.register("kept", DeltaTable(table).to_pyarrow_dataset())
        return connection.sql("SELECT * FROM kept").to_arrow_table().to_pylist()


if __name__ == "__main__":
    found = {
        table: {read.__name__: read(table) for read in (by_pandas, by_polars, by_duckdb)} for table in sys.argv[1:]
    }
    sys.stdout.buffer.write(pickle.dumps(found))
