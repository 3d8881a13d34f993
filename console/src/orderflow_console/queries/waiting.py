"""What is being retried now: events put aside after a failure, and calls to the outside without an outcome."""

import datetime as dt
from dataclasses import dataclass

from orderflow_console.queries.database import Database, literal, quoted, service_schemas, snapshot
from orderflow_model.names import schema_name

_MOST_GROUPS = 200
_PARKED = """SELECT {name} AS service, type, split_part(reason, E'\\n', 1) AS reason, count(*) AS events,
  count(DISTINCT key) AS keys, min(parked_at) AS since, min(due_at) AS due_at
  FROM {schema}.parked WHERE attempts > 0 GROUP BY 1, 2, 3"""
_CALLS = """SELECT {name}, 'call/' || kind, split_part(coalesce(reason, ''), E'\\n', 1), count(*), count(DISTINCT key),
  min(created_at), NULL
  FROM {schema}.calls WHERE attempts > 0 GROUP BY 1, 2, 3"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Events of one service, or calls (type call/KIND), that fail for one reason; `due_at`: when one is tried next."""

    service: str
    type: str
    reason: str
    events: int
    keys: int
    since: dt.datetime
    due_at: dt.datetime | None


async def list_waiting(database: Database, service: str | None = None) -> tuple[Waiting, ...]:
    """Return what is being retried, in one service or all, by type and reason, the most first; raise `ReadError`."""
    async with snapshot(database) as connection:
        parts = [
            query.format(name=literal(schema), schema=quoted(schema))
            for schema in await service_schemas(connection)
            if service is None or schema == schema_name(service)
            for query in (_PARKED, _CALLS)
        ]
        if not parts:
            return ()
        query = f"{' UNION ALL '.join(parts)} ORDER BY events DESC, service, type, reason LIMIT {_MOST_GROUPS}"
        return tuple(Waiting(**row) for row in await connection.fetch(query))
