"""What the sink has stored, read in order and without a gap, though sinks write side by side.

A row's `batch` is the id of the transaction that wrote it. All transactions below the oldest that still runs have
ended: what they wrote can be seen, and nothing will be added to them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import asyncpg
import pyarrow as pa
import pyarrow.compute as pc

from orderflow_analytics.errors import LakeBusyError, OtherDatabaseError, StoredEventsError
from orderflow_analytics.lake.columns import columns_of, table_of
from orderflow_analytics.lake.zones import RAW

_LEASE = "SELECT pg_try_advisory_lock(hashtext('orderflow lake'))"
_SETTLED = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
_PASSED_OVER = "SELECT EXISTS (SELECT FROM events WHERE batch <= $1 AND stored_at > $2 AND type = ANY ($3))"
_END = """
WITH coming AS (
  SELECT batch, octet_length(data) AS size FROM events WHERE batch > $1 AND batch < $2 ORDER BY batch LIMIT $3
), counted AS (
  SELECT batch, sum(sum(size)) OVER (ORDER BY batch) AS bytes FROM coming GROUP BY batch
)
SELECT coalesce(min(batch) FILTER (WHERE bytes >= $4), max(batch), $1) FROM counted
"""
_WAITING = """
SELECT count(*), coalesce(extract(epoch FROM now() - min(stored_at)), 0)::float8 FROM events WHERE batch > $1
"""
_HELD_UP = "SELECT count(*) FROM events WHERE batch > $1 AND stored_at < $2"
_DROP = "SELECT drop_days($1, $2::jsonb, $3)"
COLUMNS = {
    "event_type": "type",
    "event_source": "source",
    "event_id": "id",
    "event_version": "version",
    "event_key": "key",
    "event_time": "time",
    "stored_at": "stored_at",
    "batch": "batch",
    "data": "data",
}
"""The columns of the raw zone that come as they are stored, each with what it is called there."""
_STORED = pa.schema([RAW.field(name) for name in COLUMNS])
_ROWS = f"SELECT {columns_of(_STORED, COLUMNS)} FROM events WHERE batch > $1 AND batch <= $2"  # noqa: S608 - columns of ours


class StoredEvents:
    """The sink's table, on a connection whose search path is its schema."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def lease(self) -> None:
        """Become the one who exports, until the connection ends; raise `LakeBusyError` when somebody is."""
        if not await self._ask(_LEASE):
            raise LakeBusyError("another run exports these events; run again when it has ended")

    async def check(self, position: int, newest: datetime | None, events: Sequence[str]) -> None:
        """Raise `OtherDatabaseError` when a lake that came so far would pass over events of this database.

        Everything up to the position is in the lake, but for events whose rows are kept there no longer. So of the
        `events` that it has nothing there can be newer than the newest of all, unless the database was put back, and
        counts transactions anew that it had counted before.
        """
        settled = await self._ask(_SETTLED)
        if position >= settled or (newest is not None and await self._ask(_PASSED_OVER, position, newest, events)):
            raise OtherDatabaseError(
                f"the lake has batches up to {position:,}, which are others than those of this database, come to "
                f"{settled:,}: it is another one, or was put back; name the right one, or begin a new lake"
            )

    async def waiting(self, position: int) -> tuple[int, float]:
        """Return how many events came after a batch, and for how many seconds the oldest is stored."""
        with _translating():
            count, seconds = await self._connection.fetchrow(_WAITING, position)
        return count, seconds

    async def held_up(self, position: int, before: datetime) -> int:
        """Return how many events after a batch were stored before a time: by then an export had them, but for a
        transaction that stays open."""
        count: int = await self._ask(_HELD_UP, position, before)
        return count

    async def after(self, position: int, rows: int, size: int) -> pa.Table:
        """Return what comes after a batch: whole batches, so many rows or bytes of data and at most one batch more.

        The rows stand in no order.
        """
        end = await self._ask(_END, position, await self._ask(_SETTLED), rows, size)
        with _translating():
            found = await self._connection.fetchrow(_ROWS, position, end)
        return as_raw(table_of(_STORED, found))

    async def drop(self, days: int | None, by_event: Mapping[str, int], passed: int) -> None:
        """Drop what is kept no longer of what a lake has, batches up to `passed`; None keeps for ever."""
        await self._ask(_DROP, days, json.dumps(by_event), passed)

    async def _ask(self, query: str, *given: object) -> Any:
        with _translating():
            return await self._connection.fetchval(query, *given)


@contextmanager
def _translating() -> Iterator[None]:
    """Raise `StoredEventsError` for what Postgres and its client have to say."""
    try:
        yield
    except (asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError) as error:
        raise StoredEventsError(
            f"raw.events cannot be read ({error}): start the flow with its spec.analytics first, and come as the role "
            "of its service raw, or as one that may read that table"
        ) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise StoredEventsError(f"Postgres ended the run, which may be run again: {error}") from error


def as_raw(stored: pa.Table) -> pa.Table:
    """Return stored rows as the raw zone has them: with their size, and the day (UTC) by which they are parted."""
    made = stored.append_column("size", pc.binary_length(stored["data"]))
    return made.append_column("stored_date", pc.cast(stored["stored_at"], pa.date32())).select(RAW.names).cast(RAW)
