"""Reads tables of the lake by Spark, in an environment of its own: `spark_reader.py JARS TABLE ...` writes a pickle of
{table: rows} to the file that the environment names as ROWS."""

import os
import pickle
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession


def main(jars: str, tables: list[str]) -> None:
    """Read and write."""
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.jars", ",".join(map(str, Path(jars).glob("*.jar"))))
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )
    found = {table: [_plain(row.asDict(recursive=True)) for row in _rows(spark, table)] for table in tables}
    Path(os.environ["ROWS"]).write_bytes(pickle.dumps(found))


def _rows(spark: SparkSession, table: str) -> list[Any]:
    return spark.read.format("delta").load(table).collect()


def _plain(value: Any) -> Any:
    """Return a value as PyArrow has it: times with their zone, bytes that do not change."""
    match value:
        case dict():
            return {name: _plain(below) for name, below in value.items()}
        case list():
            return [_plain(item) for item in value]
        case datetime():
            return value.replace(tzinfo=UTC)
        case bytearray():
            return bytes(value)
    return value


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
