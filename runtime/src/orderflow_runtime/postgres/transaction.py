"""One batch's transaction on Postgres, opened by `postgres_store.py`: the handlers' statements and the bookkeeping
around."""

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

import asyncpg

from orderflow_contracts.dead_letters import MAX_REDRIVES
from orderflow_runtime.core.event_log import pack_headers
from orderflow_runtime.core.store import BatchClaim, BatchWrites, ClaimResult, Fenced, OutboxRow, Park
from orderflow_runtime.core.work_item import Identity, InboxRow
from orderflow_runtime.postgres import queries as sql
from orderflow_runtime.postgres.pipeline import pipeline_of

_NOTHING = "SELECT 1"
"""Is sent where nothing else is, for what was held back to go with it."""


class PostgresTransaction:
    """A `BatchTransaction` on one connection; `translating` raises the store's own errors for asyncpg's."""

    def __init__(self, connection: asyncpg.Connection, translating: Callable[[], AbstractContextManager[None]]) -> None:
        self._connection = connection
        self._translating = translating

    async def fetch(self, query: str, *args: object) -> list[Any]:
        """Run a query."""
        with self._translating():
            rows: list[Any] = await self._connection.fetch(query, *args)
            return rows

    async def execute(self, query: str, *args: object) -> None:
        """Run a statement; one with arguments goes out with the next query, at the latest with COMMIT.

        What is wrong with it is raised there.
        """
        with self._translating():
            if args:
                with pipeline_of(self._connection).deferring():
                    await self._connection.execute(query, *args)
            else:
                await self._flush()
                await self._connection.execute(query)

    async def commit(self, query: str = _NOTHING, *args: object) -> list[Any]:
        """Commit, and return the rows of a last query that goes with it; it fails where a statement before has."""
        with pipeline_of(self._connection).committing():
            return await self.fetch(query, *args)

    async def copy(self, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
        """Add rows to a table."""
        with self._translating():
            await self._flush()
            await self._connection.copy_records_to_table(table, records=rows, columns=columns)

    async def _flush(self) -> None:
        """Send what is held back, ahead of what asyncpg says in other words than Bind and Execute."""
        if pipeline_of(self._connection).holds:
            await self._connection.fetch(_NOTHING)

    async def expect(self, claim: BatchClaim, timers: Sequence[tuple[str, str]], calls: Sequence[str]) -> None:
        """Claim all of it by statements that go out with the next query, at the latest with COMMIT, and fail there."""
        await self.execute(sql.EXPECT, *sql.claim_values(claim))
        if timers:
            await self.execute(sql.EXPECT_TIMERS, *zip(*timers, strict=True))
        if calls:
            await self.execute(sql.EXPECT_CALLS, calls)

    async def open(self, claim: BatchClaim) -> ClaimResult:
        """Claim the batch in one statement; raise `Fenced` when a lease is not ours any more."""
        row = (await self.fetch(sql.OPEN, *sql.claim_values(claim)))[0]
        if row["leased"] != len(claim.leases):
            raise Fenced(f"{len(claim.leases) - row['leased']} of {len(claim.leases)} leases are taken")
        new_ids = zip(row["ids"] or (), row["sources"] or (), strict=True)
        return ClaimResult(frozenset(map(Identity._make, new_ids)), frozenset(row["held"] or ()))

    async def claim_timers(self, timers: Sequence[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Delete the timers; those that were cancelled or moved meanwhile are not given."""
        keys, names = zip(*timers, strict=True)
        return frozenset((r["key"], r["name"]) for r in await self.fetch(sql.CLAIM_TIMERS, keys, names))

    async def claim_calls(self, ids: Sequence[str]) -> frozenset[str]:
        """Delete the intents; one whose outcome was handled before is not given."""
        return frozenset(row["id"] for row in await self.fetch(sql.CLAIM_CALLS, ids))

    async def take_in(self, inbox: Sequence[InboxRow]) -> frozenset[Identity]:
        """Insert what is not there yet."""
        rows = await self.fetch(sql.TAKE_IN, *zip(*inbox, strict=True))
        return frozenset(Identity(row["id"], row["source"]) for row in rows)

    async def claim_redrives(self, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, str | None]:
        """Mark dead letters as redriven."""
        rows = await self.fetch(sql.CLAIM_REDRIVES, ids, MAX_REDRIVES)
        return {row["id"]: row["event_id"] for row in rows}

    async def close(self, writes: BatchWrites) -> list[OutboxRow]:
        """Write what is owed, and commit; a batch that owes nothing writes nothing."""
        if writes.cancelled_timers:
            await self.execute(sql.CANCEL_TIMERS, *zip(*writes.cancelled_timers, strict=True))
        if writes.timers:
            await self.execute(sql.SET_TIMERS, *zip(*map(sql.timer_values, writes.timers), strict=True))
        if writes.calls:
            await self.execute(sql.CALLS, *zip(*map(sql.call_values, writes.calls), strict=True))
        await self._settle(writes)
        if not writes.outbox:
            await self.commit()
            return []
        topics, numbers = zip(*writes.outbox, strict=True)
        statement = sql.INTAKE_OUTBOX if writes.intake else sql.OUTBOX
        rows = await self.commit(statement, topics, numbers, list(writes.outbox.values()))
        return [
            OutboxRow(row["id"], messages, shard, frozenset(row["behind"] or ()))
            for row, (shard, messages) in zip(rows, writes.outbox.items(), strict=True)
        ]

    async def _settle(self, writes: BatchWrites) -> None:
        if writes.unpark:
            await self.execute(sql.UNPARK, writes.unpark)
        for park in writes.park:
            await self._park(park)
        for letter in writes.dead:
            await self.execute(sql.DEAD_LETTER, *sql.letter_values(letter))
        if writes.journal:
            await self.execute(sql.JOURNAL, *zip(*map(sql.journal_values, writes.journal), strict=True))

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Run the block under a savepoint; deferred constraints are checked at its end."""
        await self.execute("SAVEPOINT attempt")
        try:
            yield
            await self.fetch("SET CONSTRAINTS ALL IMMEDIATE")
        except Exception:
            pipeline_of(self._connection).discard()
            await self.execute("ROLLBACK TO SAVEPOINT attempt")
            raise
        finally:
            await self.execute("RELEASE SAVEPOINT attempt")

    async def _park(self, park: Park) -> None:
        item = park.item
        if item.parked_id is not None:
            await self.execute(sql.PARK_AGAIN, item.parked_id, park.attempts, park.reason, park.delay)
            return
        await self.execute(
            sql.PARK,
            *(item.shard.topic, item.shard.number, item.offset, item.key, item.type),
            *(pack_headers(item.headers), item.value, park.attempts, park.reason, park.delay),
        )
