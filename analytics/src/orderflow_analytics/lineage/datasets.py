"""What steps read and write, by the names that OpenLineage gives to topics, tables and files.

Source: OpenLineage, "Naming Conventions".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from orderflow_model.names import schema_name
from orderflow_model.postgres_uri import PostgresUri
from orderflow_model.spec.analytics import SINK

_DEFAULT_HOST = "localhost"
EVENTS = ("type", "source", "id", "version", "key", "time", "data")
"""What a record of a topic is made of, and the columns of `raw.events` that come from it."""
_OF_STORING = ("stored_at", "batch")


@dataclass(frozen=True)
class Dataset:
    """A topic, a table or a folder; `columns` are its columns with their types, in order, where they are known."""

    namespace: str
    name: str
    columns: Mapping[str, str]


def topic(bootstrap: str, name: str) -> Dataset:
    """Return a topic of the Kafka at these addresses."""
    return Dataset(f"kafka://{bootstrap}", name, dict.fromkeys(EVENTS, ""))


def stored(database: PostgresUri) -> Dataset:
    """Return the sink's table; no user and no password are in its name."""
    hosts = ",".join(map(str, database.hosts)) or _DEFAULT_HOST
    table = f"{database.database or ''}.{schema_name(SINK)}.events"
    return Dataset(f"postgres://{hosts}", table, dict.fromkeys((*EVENTS, *_OF_STORING), ""))


def lake_table(uri: str, columns: pa.Schema) -> Dataset:
    """Return a table of the lake: in a bucket, or in a folder of this machine."""
    scheme, found, place = uri.partition("://")
    types = {field.name: str(field.type) for field in columns}
    if not found:
        return Dataset("file", str(Path(uri).absolute()), types)
    bucket, _, path = place.partition("/")
    return Dataset(f"{scheme}://{bucket}", path, types)
