"""What services say of the events they gave up: one by one, or counted by reason."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orderflow_console.queries.database import Connection, Database, literal, quoted, service_schemas, snapshot
from orderflow_console.queries.errors import UnknownError
from orderflow_console.queries.paging import FIRST, Page, checked_limit, read_cursor, write_cursor
from orderflow_contracts.dead_letters import CALL, MAX_REDRIVES, TIMER
from orderflow_model.names import schema_name

_FIELDS = {"id": "id::text", "key": "key", "type": "type", "reason": "reason", "topic": "topic"}
_COLUMNS = "id, type, key, topic, partition, record_offset, attempts, redrives, state, reason, died_at"
_MOST_GROUPS = 200


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A row of `dead_letters`; `state` is Dead, or Redriven once the service has taken it back.

    `service` is called as its schema is. `topic`, `partition` and `record_offset` say where the event came from.
    """

    service: str
    id: uuid.UUID
    type: str
    key: str | None
    topic: str
    partition: int
    record_offset: int | None
    attempts: int
    redrives: int
    state: str
    reason: str
    died_at: dt.datetime

    @property
    def dead(self) -> bool:
        """False once the service has taken it back."""
        return self.state == "Dead"

    def refusal_reason(self) -> str | None:
        """Return why it cannot be redriven, as far as its row tells; None when it can."""
        return refusal(self.type, self.redrives)


def refusal(kind: str, redrives: int) -> str | None:
    """Return why a letter of this type, which was redriven so often, cannot be; None when it can."""
    if redrives >= MAX_REDRIVES:
        return f"redriven {redrives} times and dead again: that is the limit, it stays where it is"
    if kind.startswith((TIMER, CALL)):
        return "no event: it came from no topic that it could go back to"
    return None


@dataclass(frozen=True, slots=True)
class LetterGroup:
    """Dead letters of one service, type and first line of the reason, and when the first and the last died."""

    service: str
    type: str
    reason: str
    letters: int
    first: dt.datetime
    last: dt.datetime


@dataclass(frozen=True, slots=True)
class Condition:
    """`field` equals the text, or with `contains` has it somewhere."""

    field: str
    contains: bool
    text: str


def parse_condition(text: str) -> Condition:
    """Read `key=4711` or `reason~not JSON`; raise `ValueError` saying what can be asked for."""
    cut = min((at for at in map(text.find, "=~") if at >= 0), default=-1)
    if text[: max(cut, 0)] not in _FIELDS:
        raise ValueError(f"{text!r}: write FIELD=TEXT or FIELD~PART with one of {', '.join(_FIELDS)}")
    return Condition(text[:cut], text[cut] == "~", text[cut + 1 :])


async def list_dead_letters(
    database: Database,
    service: str | None = None,
    where: Sequence[Condition] = (),
    after: str | None = None,
    limit: int = 50,
) -> Page[DeadLetter]:
    """Return a page of what is dead, in one service or all, the oldest death first; raise `ReadError`."""
    limit = checked_limit(limit)
    died, letter = read_cursor(after, FIRST)
    tests, values = _tests(where)
    tests += ["state = 'Dead'", f"(died_at, id::text) > (${len(values) + 1}, ${len(values) + 2})"]
    async with snapshot(database) as connection:
        schemas = await _schemas(connection, service)
        rows = await connection.fetch(_union(schemas, tests, limit + 1), *values, died, letter)
    items = tuple(DeadLetter(**row) for row in rows[:limit])
    return Page(items, write_cursor(items[-1].died_at, str(items[-1].id)) if len(rows) > limit else None)


async def get_dead_letters(
    database: Database, service: str, where: Sequence[Condition], ids: Sequence[uuid.UUID] | None, limit: int | None
) -> list[DeadLetter]:
    """Return those with these ids, or if None all that are dead, the oldest death first; raise `ReadError`.

    For what acts on them; a page for people is `list_dead_letters`.
    """
    tests, values = _tests(where)
    if ids is None:
        tests.append("state = 'Dead'")
    else:
        values.append(list(ids))
        tests.append(f"id = ANY(${len(values)}::uuid[])")
    async with snapshot(database) as connection:
        query = _union(await _schemas(connection, service), tests, limit)
        return [DeadLetter(**row) for row in await connection.fetch(query, *values)]


async def get_letter_ids(
    database: Database, service: str, where: Sequence[Condition], limit: int | None = None
) -> tuple[list[uuid.UUID], dict[uuid.UUID, str]]:
    """Return the ids of all that is dead and can be put back, and why others cannot; raise `ReadError`.

    With a limit at most so many in all, the oldest death first.

    For a hundred thousand letters: of each no more than that is held.
    """
    tests, values = _tests(where)
    able: list[uuid.UUID] = []
    refused: dict[uuid.UUID, str] = {}
    async with snapshot(database) as connection:
        (schema,) = await _schemas(connection, service)
        query = f"""SELECT id, type, redrives FROM {quoted(schema)}.dead_letters
          WHERE {" AND ".join([*tests, "state = 'Dead'"])} ORDER BY died_at, id LIMIT {limit or "ALL"}"""  # noqa: S608 - only fixed names and a number are put in
        async for row in connection.cursor(query, *values, prefetch=1_000):
            if reason := refusal(row["type"], row["redrives"]):
                refused[row["id"]] = reason
            else:
                able.append(row["id"])
    return able, refused


async def count_by_service(database: Database) -> dict[str, int]:
    """Return how many letters are dead, by schema; raise `ReadError`."""
    async with snapshot(database) as connection:
        parts = [
            f"""SELECT {literal(schema)} AS service, count(*) AS letters
              FROM {quoted(schema)}.dead_letters WHERE state = 'Dead'"""  # noqa: S608 - fixed names
            for schema in await _schemas(connection, None)
        ]
        return {row["service"]: row["letters"] for row in await connection.fetch(" UNION ALL ".join(parts))}


async def count_dead_letters(database: Database, service: str | None = None) -> tuple[LetterGroup, ...]:
    """Return the dead letters by service, type and reason, the most first; of many kinds not all. Raise `ReadError`."""
    async with snapshot(database) as connection:
        parts = [
            f"""SELECT {literal(schema)} AS service, type, split_part(reason, E'\\n', 1) AS reason, count(*) AS letters,
              min(died_at) AS first, max(died_at) AS last
              FROM {quoted(schema)}.dead_letters WHERE state = 'Dead' GROUP BY 2, 3"""  # noqa: S608 - fixed names
            for schema in await _schemas(connection, service)
        ]
        query = f"{' UNION ALL '.join(parts)} ORDER BY letters DESC, service, type, reason LIMIT {_MOST_GROUPS}"
        return tuple(LetterGroup(**row) for row in await connection.fetch(query))


async def _schemas(connection: Connection, service: str | None) -> list[str]:
    """Return the schema of the service, or all; raise `UnknownError` where there is none."""
    found = await service_schemas(connection)
    if service is not None and schema_name(service) not in found:
        raise UnknownError(f"the flow has no service {service} with dead letters", f"Services: {', '.join(found)}")
    if not found:
        raise UnknownError("the database has no schema of a service", "Is it the database of a flow?")
    return found if service is None else [schema_name(service)]


def _union(schemas: Sequence[str], tests: Sequence[str], limit: int | None) -> str:
    end = "" if limit is None else f" LIMIT {limit}"
    where = " AND ".join(tests)
    parts = [
        f"""(SELECT {literal(schema)} AS service, {_COLUMNS} FROM {quoted(schema)}.dead_letters WHERE {where}
          ORDER BY died_at, id::text{end})"""  # noqa: S608 - only fixed names are put in
        for schema in schemas
    ]
    return f"SELECT * FROM ({' UNION ALL '.join(parts)}) AS letters ORDER BY died_at, id::text{end}"  # noqa: S608 - as above


def _tests(where: Sequence[Condition]) -> tuple[list[str], list[Any]]:
    tests = []
    for number, condition in enumerate(where, start=1):
        column = _FIELDS[condition.field]
        tests.append(f"strpos({column}, ${number}) > 0" if condition.contains else f"{column} = ${number}")
    return tests, [condition.text for condition in where]
