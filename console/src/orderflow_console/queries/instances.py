"""Runs of the saga, such as orders: found by state, customer and time, page by page.

The service that begins the saga tells of them by three views in its schema (docs/services.md): `saga_instances`, one
row a run; `saga_open`, the ids of those that have not ended; `saga_states`, in which phase of a run each state is. Runs
that have not ended are few and are looked through whole. Those that have are looked through from the newest, so many at
a time, along an index of (begun_at, id), or (customer, begun_at, id).
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from orderflow_console.queries.database import (
    Connection,
    Database,
    quoted,
    saga_schema,
    service_schemas,
    snapshot,
)
from orderflow_console.queries.errors import InvalidQuestionError, ReadError, UnknownError
from orderflow_console.queries.paging import Page, checked_limit, read_cursor, write_cursor

LOOKED_AT_ONCE = 10_000
"""How many runs one page looks through."""
_COLUMNS = "id, begun_at, state, reason, customer"


class Phase(StrEnum):
    """How far a run is: open by itself, stuck until a person acts, or ended."""

    OPEN = "Open"
    STUCK = "Stuck"
    ENDED = "Ended"


@dataclass(frozen=True, slots=True)
class Instance:
    """One run; `customer` is the flow's own id of one, never a name or address."""

    id: str
    begun_at: dt.datetime
    state: str
    phase: Phase
    reason: str | None
    customer: str | None


@dataclass(frozen=True, slots=True)
class InstanceFilter:
    """What is asked for; all that is given has to hold.

    `since` is included, `until` is not. `retrying`: some event or call of it is tried again now, in any service;
    `retrying_because` is a part of the reason.
    """

    state: str | None = None
    phases: frozenset[Phase] = frozenset()
    reason: str | None = None
    customer: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    retrying: bool = False
    retrying_because: str | None = None


EVERYTHING = InstanceFilter()


async def list_instances(
    database: Database, where: InstanceFilter = EVERYTHING, after: str | None = None, limit: int = 50
) -> Page[Instance]:
    """Return a page of runs, the newest first; raise `ReadError`."""
    limit = checked_limit(limit)
    async with snapshot(database) as connection:
        saga = await _saga(connection)
        phases = await _phases(connection, saga)
        query = _Query(saga, where, phases)
        if where.retrying or where.retrying_because is not None:
            query.only_retrying(await service_schemas(connection), where.retrying_because)
        begun, name = read_cursor(after)
        return await query.page(connection, min(begun, where.until or begun), name, limit)


async def get_instance(database: Database, instance_id: str) -> Instance:
    """Return a run; raise `UnknownError` when there is none of this id, or `ReadError`."""
    async with snapshot(database) as connection:
        saga = await _saga(connection)
        query = f"SELECT {_COLUMNS} FROM {saga}.saga_instances WHERE id = $1"  # noqa: S608 - fixed names
        row = await connection.fetchrow(query, instance_id)
        if row is None:
            raise UnknownError(f"there is no {instance_id}", "Give an id as the list or POST /orders gave it")
        return _instance(row, await _phases(connection, saga))


async def states(database: Database) -> dict[str, Phase]:
    """Return all states of a run, each with its phase; raise `ReadError`."""
    async with snapshot(database) as connection:
        return await _phases(connection, await _saga(connection))


async def count_open(database: Database) -> dict[str, int]:
    """Return how many runs that have not ended are in each state; raise `ReadError`."""
    async with snapshot(database) as connection:
        saga = await _saga(connection)
        query = f"""SELECT state, count(*) AS n FROM {saga}.saga_instances
          WHERE id IN (SELECT id FROM {saga}.saga_open) GROUP BY state"""  # noqa: S608 - fixed names
        counted = {row["state"]: row["n"] for row in await connection.fetch(query)}
        phases = await _phases(connection, saga)
        return {state: counted.get(state, 0) for state, phase in phases.items() if phase is not Phase.ENDED}


class _Query:
    """One list, as SQL: `tests` are made of the table, by its indexes, `checks` of the rows that were looked at."""

    def __init__(self, saga: str, where: InstanceFilter, phases: dict[str, Phase]) -> None:
        self._saga, self._phases = saga, phases
        self._values: list[Any] = []
        self._tests: list[str] = []
        self._checks: list[tuple[str, Any]] = []
        self._whole = False
        if where.customer is not None:
            self._tests.append(f"customer = {self._value(where.customer)}")
        if where.since is not None:
            self._tests.append(f"begun_at >= {self._value(where.since)}")
        if where.reason is not None:
            self._checks.append(("reason = {}", where.reason))
        self._only_states(where)

    def only_retrying(self, schemas: Sequence[str], because: str | None) -> None:
        """Keep runs of which something is tried again now."""
        because = self._value(because or "")
        parts = [
            f"""SELECT key COLLATE "C" FROM {quoted(schema)}.{table}
              WHERE attempts > 0 AND strpos(coalesce(reason, ''), {because}) > 0"""  # noqa: S608 - fixed names
            for schema in schemas
            for table in ("parked", "calls")
        ]
        self._tests.append(f"id IN ({' UNION '.join(parts)})")
        self._whole = True

    async def page(self, connection: Connection, begun: dt.datetime, name: str, limit: int) -> Page[Instance]:
        """Return the page behind a place."""
        behind = f"(begun_at, id) < ({self._value(begun)}, {self._value(name)})"
        looked = f"""SELECT {_COLUMNS} FROM {self._saga}.saga_instances WHERE {" AND ".join([behind, *self._tests])}
          ORDER BY begun_at DESC, id DESC"""  # noqa: S608 - fixed names
        of_looked = list(self._values)
        checks = [check.format(self._value(value)) for check, value in self._checks]
        query = f"""SELECT * FROM ({looked}{"" if self._whole else f" LIMIT {LOOKED_AT_ONCE}"}) AS looked
          WHERE {" AND ".join(checks) or "true"} ORDER BY begun_at DESC, id DESC LIMIT {limit + 1}"""  # noqa: S608 - fixed names
        rows = await connection.fetch(query, *self._values)
        items = tuple(_instance(row, self._phases) for row in rows[:limit])
        if len(rows) > limit:
            return Page(items, write_cursor(items[-1].begun_at, items[-1].id))
        if self._whole or not checks:
            return Page(items)
        query = f"SELECT begun_at, id FROM ({looked} OFFSET {LOOKED_AT_ONCE - 1} LIMIT 1) AS last"  # noqa: S608 - fixed names
        last = await connection.fetchrow(query, *of_looked)
        return Page(items) if last is None else Page(items, write_cursor(*last), last["begun_at"])

    def _only_states(self, where: InstanceFilter) -> None:
        if where.state is not None and where.state not in self._phases:
            raise InvalidQuestionError(f"there is no state {where.state}", f"Say one of {', '.join(self._phases)}")
        if where.state is None and not where.phases:
            return
        wanted = [
            state
            for state, phase in self._phases.items()
            if where.state in (None, state) and (not where.phases or phase in where.phases)
        ]
        if any(self._phases[state] is Phase.ENDED for state in wanted):
            self._checks.append(("state = ANY({}::text[])", wanted))
        else:
            self._tests.append(f"state = ANY({self._value(wanted)}::text[])")
            self._tests.append(f"id IN (SELECT id FROM {self._saga}.saga_open)")  # noqa: S608 - fixed names
            self._whole = True

    def _value(self, value: Any) -> str:
        self._values.append(value)
        return f"${len(self._values)}"


async def _saga(connection: Connection) -> str:
    """Return the quoted schema that tells of the saga's runs; raise `ReadError` where none does."""
    if (schema := await saga_schema(connection)) is None:
        raise ReadError(
            "no service of this flow tells of its runs",
            "One key can be asked for by orderflow trace; to list runs, the service that begins them has three views: "
            "docs/services.md",
        )
    return quoted(schema)


async def _phases(connection: Connection, saga: str) -> dict[str, Phase]:
    rows = await connection.fetch(f"SELECT state, phase FROM {saga}.saga_states")  # noqa: S608 - fixed names
    return {row["state"]: Phase(row["phase"]) for row in rows}


def _instance(row: Any, phases: dict[str, Phase]) -> Instance:
    state = row["state"]
    return Instance(row["id"], row["begun_at"], state, phases.get(state, Phase.OPEN), row["reason"], row["customer"])
