"""Work in flight at services: what an edit of the flow would touch."""

from collections.abc import Collection
from dataclasses import dataclass

from orderflow_console.queries.database import Connection, Database, literal, quoted, service_schemas, snapshot
from orderflow_model.names import schema_name

_MOST_KEYS = 10


@dataclass(frozen=True, slots=True)
class InFlight:
    """What one service has begun and not ended: events put aside, timers, calls without outcome, dead letters.

    `keys` are some of those that wait, such as ids of orders.
    """

    service: str
    parked: int
    timers: int
    calls: int
    dead_letters: int
    keys: tuple[str, ...]


async def find_in_flight(
    database: Database, services: Collection[str], events: Collection[str] = ()
) -> tuple[InFlight, ...]:
    """Return what these services have in flight, and others of these events; raise `ReadError`."""
    async with snapshot(database) as connection:
        known = await service_schemas(connection)
        found = [await _of_service(connection, service) for service in services if schema_name(service) in known]
        others = set(known) - {schema_name(service) for service in services}
        found += [await _of_service(connection, schema, events) for schema in sorted(others) if events]
    return tuple(one for one in found if one.parked or one.timers or one.calls or one.dead_letters)


async def _of_service(connection: Connection, service: str, events: Collection[str] | None = None) -> InFlight:
    """Return what one service has in flight, of these events alone where they are given."""
    schema, test, other = quoted(schema_name(service)), "true", "true"
    if events is not None:
        test, other = f"type IN ({', '.join(map(literal, events))})", "false"
    row = await connection.fetchrow(
        f"""SELECT (SELECT count(*) FROM {schema}.parked WHERE {test}) AS parked,
          (SELECT count(*) FROM {schema}.timers WHERE {other}) AS timers,
          (SELECT count(*) FROM {schema}.calls WHERE {other}) AS calls,
          (SELECT count(*) FROM {schema}.dead_letters WHERE state = 'Dead' AND {test}) AS dead_letters,
          ARRAY(SELECT DISTINCT key FROM {schema}.parked WHERE {test} ORDER BY key LIMIT {_MOST_KEYS}) AS keys"""  # noqa: S608 - names and literals are quoted
    )
    return InFlight(service, row["parked"], row["timers"], row["calls"], row["dead_letters"], tuple(row["keys"]))
