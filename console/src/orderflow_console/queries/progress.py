"""How far services have come, by what they have stored: in a cluster figures of pods are Prometheus's to read."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from orderflow_console.queries.database import Database, literal, quoted, service_schemas, snapshot

_PROGRESS = """SELECT {name} AS service, topic, sum(next_offset)::bigint AS records FROM {schema}.offsets GROUP BY topic
  UNION ALL SELECT {name}, NULL, count(*) FROM {schema}.parked"""


@dataclass
class Progress:
    """Where a service is on each of its topics, in records of all partitions, and how many events it has parked."""

    records: dict[str, int] = field(default_factory=dict)
    parked: int = 0


async def get_progress(database: Database) -> Mapping[str, Progress]:
    """Return the progress of all services, by their schemas; raise `ReadError`."""
    found: dict[str, Progress] = defaultdict(Progress)
    async with snapshot(database) as connection:
        schemas = await service_schemas(connection)
        parts = [_PROGRESS.format(name=literal(schema), schema=quoted(schema)) for schema in schemas]
        for row in await connection.fetch(" UNION ALL ".join(parts)) if parts else ():
            if row["topic"] is None:
                found[row["service"]].parked = row["records"]
            else:
                found[row["service"]].records[row["topic"]] = row["records"]
    return found
