"""Jobs and their items, in the console's own tables."""

import datetime as dt
import getpass
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from orderflow_console.actions.own_tables import OwnTables
from orderflow_console.queries.errors import UnknownError

_MOST_JOBS = 100
_ID_BITS = 64
_CREATE = """INSERT INTO jobs (kind, target, asked, person, state, total, tried, refused, origin)
  VALUES ($1, $2, $3, $4, 'Proposed', $5, $6, $6, $7) RETURNING id"""
_FORGET = """DELETE FROM jobs
  WHERE state = 'Proposed' AND begun_at < now() - interval '1 day' AND origin IS NULL"""
_NOTE = """WITH noted AS (
    UPDATE job_items SET done_at = now(), refused = given.refused
    FROM unnest($2::text[], $3::text[]) AS given (item, refused)
    WHERE job = $1 AND job_items.item = given.item AND done_at IS NULL RETURNING job_items.refused)
  UPDATE jobs SET tried = tried + (SELECT count(*) FROM noted), refused = refused + (SELECT count(refused) FROM noted)
  WHERE id = $1"""


class JobState(StrEnum):
    """How a job is: proposed, going on, standing until somebody lets it go on, or through with all items."""

    PROPOSED = "Proposed"
    RUNNING = "Running"
    PAUSED = "Paused"
    DONE = "Done"


class Result(NamedTuple):
    """What became of an item; `refused` says why it was not done."""

    item: str
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job; `asked` is the filter that its items were found by, `tried` of `total` items are done or `refused`.

    `origin` is the Redrive of a cluster that it is done for, where it is.
    """

    id: int
    kind: str
    target: str
    asked: Mapping[str, str]
    person: str
    state: JobState
    problem: str | None
    begun_at: dt.datetime
    ended_at: dt.datetime | None
    total: int
    tried: int
    refused: int
    origin: str | None = None


class JobStore:
    """All jobs; every method raises `ReadError` when the database does not answer."""

    def __init__(self, tables: OwnTables) -> None:
        self._tables = tables

    async def create(
        self,
        kind: str,
        target: str,
        asked: Mapping[str, str],
        person: str,
        items: Sequence[Result],
        origin: str | None = None,
    ) -> int:
        """Write a job that is proposed, with all of its items, those that are refused already too; return its number.

        Proposals of more than a day ago, with which nobody began, go.
        """
        async with self._tables.connection() as connection, connection.transaction():
            await connection.execute(_FORGET)
            refused = sum(one.refused is not None for one in items)
            values = (kind, target, json.dumps(asked), person, len(items), refused, origin)
            job: int = await connection.fetchval(_CREATE, *values)
            now = dt.datetime.now(dt.UTC)
            rows = [(job, one.item, now if one.refused else None, one.refused) for one in items]
            await connection.copy_records_to_table("job_items", records=rows, schema_name=self._tables.schema)
            return job

    async def latest(self) -> tuple[Job, ...]:
        """Return the latest jobs, the newest first."""
        async with self._tables.connection() as connection:
            rows = await connection.fetch("SELECT * FROM jobs ORDER BY id DESC LIMIT $1", _MOST_JOBS)
        return tuple(map(_job, rows))

    async def running(self) -> tuple[Job, ...]:
        """Return all jobs that go on, but for those of Redrives."""
        query = "SELECT * FROM jobs WHERE state = 'Running' AND origin IS NULL ORDER BY id"
        async with self._tables.connection() as connection:
            return tuple(map(_job, await connection.fetch(query)))

    async def of_origin(self, origin: str) -> Job | None:
        """Return the job of a Redrive, None where it has none yet."""
        async with self._tables.connection() as connection:
            row = await connection.fetchrow("SELECT * FROM jobs WHERE origin = $1", origin)
        return None if row is None else _job(row)

    async def get(self, job: int) -> Job:
        """Return a job; raise `UnknownError` when there is none of this number."""
        row = None
        if job.bit_length() < _ID_BITS:
            async with self._tables.connection() as connection:
                row = await connection.fetchrow("SELECT * FROM jobs WHERE id = $1", job)
        if row is None:
            raise UnknownError(f"There is no job {job}", "Choose one from the list")
        return _job(row)

    async def left(self, job: int) -> list[str]:
        """Return the items that were not tried yet."""
        async with self._tables.connection() as connection:
            query = "SELECT item FROM job_items WHERE job = $1 AND done_at IS NULL ORDER BY item"
            return [row["item"] for row in await connection.fetch(query, job)]

    async def refusals(self, job: int, after: str, limit: int) -> list[Result]:
        """Return items that were refused, behind one, and why."""
        async with self._tables.connection() as connection:
            query = """SELECT item, refused FROM job_items WHERE job = $1 AND refused IS NOT NULL AND item > $2
              ORDER BY item LIMIT $3"""
            return [Result(**row) for row in await connection.fetch(query, job, after, limit)]

    async def note(self, job: int, results: Sequence[Result]) -> None:
        """Write what became of some items."""
        async with self._tables.connection() as connection:
            await connection.execute(_NOTE, job, [one.item for one in results], [one.refused for one in results])

    async def set_state(self, job: int, state: JobState, problem: str | None = None) -> None:
        """Write how a job is; one that is done stays so."""
        async with self._tables.connection() as connection:
            query = """UPDATE jobs SET state = $2, problem = $3, ended_at = CASE WHEN $2 = 'Done' THEN now() END
              WHERE id = $1 AND state <> 'Done'"""
            await connection.execute(query, job, state, problem)


def person_here() -> str:
    """Return who is told to have done what: the user of this process, by number where that has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def _job(row: Any) -> Job:
    return Job(**{**row, "asked": json.loads(row["asked"]), "state": JobState(row["state"])})
