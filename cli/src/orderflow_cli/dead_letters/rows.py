"""What a service's database says of its dead letters: `orderflow dead-letters` lists it, `redrive` chooses by it."""

import asyncio
import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orderflow_cli.database import FAILURES
from orderflow_cli.errors import LaptopError
from orderflow_contracts.dead_letters import CALL, MAX_REDRIVES, TIMER
from orderflow_model.names import schema_name
from orderflow_model.postgres_uri import PostgresUri
from orderflow_runtime.postgres.connecting import connect

_TEXT_FIELDS = {"id": "id::text", "key": "key", "type": "type", "reason": "reason", "topic": "topic"}
_COLUMNS = "id, type, key, topic, partition, record_offset, attempts, redrives, state, reason, died_at"


class RedriveError(LaptopError):
    """Dead letters cannot be read or put back."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A row of `dead_letters`; `state` is Dead, or Redriven once the service has taken it back."""

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
        if self.redrives >= MAX_REDRIVES:
            return f"redriven {self.redrives} times and dead again: that is the limit, it stays where it is"
        if self.type.startswith((TIMER, CALL)):
            return "no event: it came from no topic that it could go back to"
        return None


@dataclass(frozen=True, slots=True)
class Condition:
    """`field` equals the text, or with `contains` has it somewhere."""

    field: str
    contains: bool
    text: str


def parse_condition(text: str) -> Condition:
    """Read `key=4711` or `reason~not JSON`; raise `ValueError` saying what can be asked for."""
    cut = min((at for at in map(text.find, "=~") if at >= 0), default=-1)
    if text[: max(cut, 0)] not in _TEXT_FIELDS:
        raise ValueError(f"{text!r}: write FIELD=TEXT or FIELD~PART with one of {', '.join(_TEXT_FIELDS)}")
    return Condition(text[:cut], text[cut] == "~", text[cut + 1 :])


def fetch_letters(
    database: PostgresUri, service: str, where: Sequence[Condition], ids: Sequence[uuid.UUID] | None, limit: int | None
) -> list[DeadLetter]:
    """Fetch rows, the oldest death first: those with these ids, or if None all that are Dead. Raise `RedriveError`."""
    tests, values = _tests(where)
    if ids is None:
        tests.append("state = 'Dead'")
    else:
        values.append(list(ids))
        tests.append(f"id = ANY(${len(values)}::uuid[])")
    values.append(limit)
    table = f'"{schema_name(service)}".dead_letters'
    query = (
        f"SELECT {_COLUMNS} FROM {table} WHERE {' AND '.join(tests)} ORDER BY died_at, id LIMIT ${len(values)}::bigint"  # noqa: S608 - only fixed names are put in
    )
    try:
        return asyncio.run(_fetch(database, query, values))
    except FAILURES as error:
        raise RedriveError(
            f"dead letters of {service}: {error}", "Is the flow running, and the service in it?"
        ) from None


def note_sent(database: PostgresUri, service: str, ids: Sequence[uuid.UUID]) -> None:
    """Note that messages which had not reached their topic now have; raise `RedriveError`."""
    query = f"""UPDATE "{schema_name(service)}".dead_letters SET state = 'Redriven', redrives = redrives + 1
      WHERE id = ANY($1::uuid[]) RETURNING {_COLUMNS}"""  # noqa: S608 - only fixed names are put in
    try:
        asyncio.run(_fetch(database, query, [list(ids)]))
    except FAILURES as error:
        raise RedriveError(
            f"{len(ids)} letters are sent and not noted so: {error}", "Redrive again: it is safe"
        ) from None


def _tests(where: Sequence[Condition]) -> tuple[list[str], list[Any]]:
    tests = []
    for number, condition in enumerate(where, start=1):
        column = _TEXT_FIELDS[condition.field]
        tests.append(f"strpos({column}, ${number}) > 0" if condition.contains else f"{column} = ${number}")
    return tests, [condition.text for condition in where]


async def _fetch(database: PostgresUri, query: str, values: Sequence[Any]) -> list[DeadLetter]:
    connection = await connect(database)
    try:
        return [DeadLetter(**row) for row in await connection.fetch(query, *values)]
    finally:
        await connection.close()
