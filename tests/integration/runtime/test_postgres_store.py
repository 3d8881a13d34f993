"""The store on a real Postgres: what the dispatcher's promises rest on there."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from orderflow_contracts.event import Event
from orderflow_runtime.core.event_log import Message, Partition, Position, pack
from orderflow_runtime.core.store import (
    BatchClaim,
    BatchWrites,
    CallRow,
    Conflict,
    Fenced,
    StoreUnavailable,
    TimerWrite,
)
from orderflow_runtime.core.work_item import InboxRow
from orderflow_runtime.postgres.postgres_store import _SESSION, PostgresStore
from orderflow_runtime.service import Received, Transaction, each
from orderflow_runtime.tracing.trace_context import Trace
from support.runtime.real import Site, role_connection
from support.runtime.sample_service import Pat, Put, leave, sample_service

P = Partition("t.put", 0)
Q = Partition("t.put", 1)
TRACE = Trace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=b", "0" * 16, "1" * 16)


def arrived() -> InboxRow:
    """An event that is new."""
    return InboxRow(uuid.uuid4(), 1, "PUT", datetime.now(UTC))


@pytest.fixture
async def stores(site: Site) -> AsyncIterator[tuple[PostgresStore, PostgresStore]]:
    """Two instances' stores of one service."""
    one, other = site.store(), site.store()
    yield one, other
    await one.stop()
    await other.stop()


Stores = tuple[PostgresStore, PostgresStore]


@asynccontextmanager
async def schema(site: Site) -> AsyncIterator[asyncpg.Connection]:
    """The superuser's connection to the service's schema."""
    connection = await asyncpg.connect(site.fleet.admin_url, server_settings={"search_path": "sample"})
    yield connection
    await connection.close()


async def test_only_the_last_to_acquire_can_write(stores: Stores, site: Site) -> None:
    """A lease's epoch counts up, and a batch of an older epoch leaves nothing, though it holds other leases."""
    one, other = stores
    leases = await one.acquire([P, Q], "one")
    assert (await other.acquire([P], "other"))[P].epoch == leases[P].epoch + 1
    claim = BatchClaim({p: (lease.epoch, Position(7)) for p, lease in leases.items()}, inbox=[arrived()])
    with pytest.raises(Fenced, match="1 of 2"):
        async with one.transaction() as tx:
            await tx.open(claim)
    async with schema(site) as connection:
        assert await connection.fetchval("SELECT count(*) FROM inbox") == 0
        assert await connection.fetchval("SELECT max(next_offset) FROM offsets") == 0
    async with one.transaction() as tx:
        await tx.open(BatchClaim({Q: (leases[Q].epoch, Position(7))}))
    assert (await other.acquire([Q], "other"))[Q].next == Position(7)


async def test_acquire_waits_for_the_batch_of_the_former_owner(stores: Stores) -> None:
    """A takeover sees what a batch under way commits: it cannot start from an offset that is about to move."""
    one, other = stores
    epoch = (await one.acquire([P], "one"))[P].epoch
    async with one.transaction() as tx:
        await tx.open(BatchClaim({P: (epoch, Position(42))}))
        taking = asyncio.create_task(other.acquire([P], "other"))
        await asyncio.sleep(0.2)
        assert not taking.done()
    assert (await taking)[P].next == Position(42)


async def test_statements_of_batches_are_planned_once(stores: Stores) -> None:
    """Planning costs more than a small batch's statements do, and each finds its rows by key whatever it is given."""
    one, _ = stores
    epoch = (await one.acquire([P], "one"))[P].epoch
    for at in range(8):
        async with one.transaction() as tx:
            await tx.open(BatchClaim({P: (epoch, Position(at))}, inbox=[arrived()] * (at + 1)))
            counted = await tx.fetch(
                "SELECT sum(custom_plans) AS anew, max(generic_plans) AS kept FROM pg_prepared_statements"
            )
    assert (counted[0]["anew"], counted[0]["kept"]) == (0, 8)


async def test_a_frozen_owner_loses_its_session_and_then_its_lease(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner that stands still in its transaction is cut off by Postgres, and what it did is undone."""
    monkeypatch.setitem(_SESSION, _IDLE, "1s")
    frozen, heir = site.store(), site.store()
    epoch = (await frozen.acquire([P], "frozen"))[P].epoch
    started = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await freeze(frozen, BatchClaim({P: (epoch, Position(42))}), heir)
    assert time.monotonic() - started > 0.9
    async with frozen.transaction() as tx:
        with pytest.raises(Fenced):
            await tx.open(BatchClaim({P: (epoch, Position(42))}))
    await frozen.stop()
    await heir.stop()


async def freeze(frozen: PostgresStore, claim: BatchClaim, heir: PostgresStore) -> None:
    """Open a batch and do nothing more until the heir has taken over."""
    async with frozen.transaction() as tx:
        await tx.open(claim)
        assert (await heir.acquire([P], "heir"))[P].next == Position(0)


_IDLE = "idle_in_transaction_session_timeout"


async def test_rotation_runs_beside_batches(stores: Stores) -> None:
    """Batches and rotations at the same time end: a deadlock is a conflict, which both sides try again."""
    one, other = stores
    epoch = (await one.acquire([P], "one"))[P].epoch

    async def batches() -> None:
        for n in range(60):
            inbox = [arrived(), arrived()]
            try:
                async with one.transaction() as tx:
                    await tx.open(BatchClaim({P: (epoch, Position(n))}, inbox=inbox))
                    await tx.take_in([arrived()])
            except Conflict:
                continue

    async def rotations() -> None:
        for _ in range(20):
            try:
                await other.rotate_inbox(22)
            except Conflict:
                continue

    await asyncio.wait_for(asyncio.gather(batches(), rotations()), 60)


async def test_what_a_batch_owes_is_read_back_as_it_was(stores: Stores) -> None:
    """Outbox rows, calls and timers come back whole, to the shards' owner alone, and are deleted once."""
    one, _ = stores
    epoch = (await one.acquire([P, Q], "one"))[P].epoch
    messages = [Message("out", b"k", [("h", b"\xff"), ("null", None)], b"v"), Message("out", None, [], b"")]
    async with one.transaction() as tx:
        await tx.open(BatchClaim({P: (epoch, Position(1))}))
        rows = await tx.close(
            BatchWrites(
                outbox={P: pack(messages), Q: pack(messages[:1])},
                timers=[
                    TimerWrite(P, "alarm", "k", timedelta(0), b"{}", TRACE),
                    TimerWrite(P, "alarm", "l", timedelta(hours=1), b"{}"),
                ],
                calls=[CallRow("k:1", P, "outside", "k", b"{}", trace=TRACE)],
            )
        )
    assert [row.messages for row in await one.backlog([P], False, [], [])] == [rows[0].messages]
    assert len(await one.backlog([P, Q], False, [], [])) == 2
    assert not await one.backlog([P, Q], True, [], [])
    assert [row.id for row in await one.backlog([P, Q], False, [rows[0].id], [])] == [rows[1].id]
    assert not await one.backlog([P, Q], False, [], [rows[1].id])
    assert [(call.id, call.trace) for call in await one.pending_calls([P])] == [("k:1", TRACE)]
    await one.note_attempt("k:1", "why")
    assert [call.attempts for call in await one.pending_calls([P, Q])] == [1]
    due = await one.due([P], 10)
    assert [(timer.key, timer.shard, timer.trace) for timer in due.timers] == [("k", P, TRACE)]
    assert not (await one.due([Q], 10)).timers
    async with one.transaction() as tx:
        assert await tx.claim_timers([("k", "alarm"), ("l", "alarm")]) == {("k", "alarm")}
        assert await tx.claim_calls(["k:1", "k:2"]) == {"k:1"}
        assert not await tx.claim_calls(["k:1"])
    assert 3_500 < ((await one.due([P], 10)).next_in or 0) <= 3_600


async def test_a_commands_row_tells_what_of_its_shard_was_there_before(stores: Stores) -> None:
    """Whoever publishes it knows so whether it is its turn; rows of batches and of other shards do not count."""
    one, other = stores
    epoch = (await one.acquire([P], "one"))[P].epoch
    async with one.transaction() as tx:
        await tx.open(BatchClaim({P: (epoch, Position(1))}))
        await tx.close(BatchWrites(outbox={P: pack([])}))
    rows = []
    for store, shards in (one, [P]), (other, [P, Q]):
        async with store.intake_transaction() as tx:
            rows += await tx.close(BatchWrites(outbox=dict.fromkeys(shards, pack([])), intake=True))
    assert [row.shard for row in rows] == [P, P, Q]
    assert [row.behind for row in rows] == [frozenset(), {rows[0].id}, frozenset()]


async def test_of_many_rows_before_a_commands_row_the_last_are_told(stores: Stores, site: Site) -> None:
    """While Kafka is away they pile up: a commit costs no more for it."""
    one, _ = stores
    async with schema(site) as connection:
        await connection.execute(
            "INSERT INTO outbox (topic, partition, intake, messages)"
            " SELECT $1, $2, true, '' FROM generate_series(1, 500)",
            *P,
        )
        ids = [row["id"] for row in await connection.fetch("SELECT id FROM outbox ORDER BY id DESC LIMIT 201")]
    async with one.intake_transaction() as tx:
        (row,) = await tx.close(BatchWrites(outbox={P: pack([])}, intake=True))
    assert row.behind == frozenset(ids)


async def test_a_deadlock_runs_the_batch_again_and_is_no_attempt(site: Site) -> None:
    """A handler that Postgres picks as a deadlock's victim runs again; its event is neither parked nor doubled."""
    async with schema(site) as connection:
        await connection.execute("CREATE TABLE locked (id int PRIMARY KEY, n int)")
        await connection.execute("INSERT INTO locked VALUES (1, 0), (2, 0)")
        await connection.execute(f"GRANT ALL ON locked TO {site.config.flow}_sample")
    first_taken, runs = asyncio.Event(), []

    async def cross(events: Sequence[Received[Any]], tx: Transaction) -> Iterable[Event]:
        runs.append(len(events))
        await tx.execute("UPDATE locked SET n = n + 1 WHERE id = 1")
        first_taken.set()
        await asyncio.sleep(0.2)
        await tx.execute("UPDATE locked SET n = n + 1 WHERE id = 2")
        await leave(tx, [(e.key, "crossed") for e in events])
        return []

    service = sample_service(site.script, site.outside, handlers={Put: cross, Pat: cross})
    async with site.running(service), schema(site) as connection:
        await site.send(Put(thing="k", n=0))
        await first_taken.wait()
        with pytest.MonkeyPatch.context():
            async with connection.transaction():
                await connection.execute(
                    "SET LOCAL deadlock_timeout = '30s'; UPDATE locked SET n = n + 100 WHERE id = 2"
                )
                await connection.execute("UPDATE locked SET n = n + 100 WHERE id = 1")
        assert await site.until_effects(1) == ["crossed"]
        assert await connection.fetchval("SELECT count(*) FROM parked") == 0
        assert await connection.fetchval("SELECT array_agg(n ORDER BY id) FROM locked") == [101, 101]
    assert len(runs) > 1


async def test_a_serialization_failure_runs_the_batch_again(site: Site) -> None:
    """SQLSTATE 40001 says nothing of the event: the batch runs again until it commits."""
    runs: list[int] = []

    async def fussy(event: Received[Any], tx: Transaction) -> Iterable[Event]:
        runs.append(event.event.n)
        await leave(tx, [(event.key, "done")])
        if len(runs) < 4:
            await tx.execute("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$")
        return []

    handlers = {Put: each(fussy), Pat: each(fussy)}
    async with site.running(sample_service(site.script, site.outside, handlers=handlers)):
        await site.send(Put(thing="k", n=0))
        assert await site.until_effects(1) == ["done"]
    assert len(runs) == 4
    assert not await site.fleet.fetch("SELECT 1 FROM sample.parked UNION ALL SELECT 1 FROM sample.dead_letters")


@pytest.mark.parametrize("statement", ["SELECT 1/0", "SELEC 1", "SELECT $1::int"])
async def test_a_failing_statement_is_undone_alone(site: Site, statement: str) -> None:
    """An event whose statement Postgres refuses goes to the dead letters; those beside it commit in the same batch."""

    async def choosy(event: Received[Any], tx: Transaction) -> Iterable[Event]:
        await leave(tx, [(event.key, str(event.event.n))])
        if event.event.n == 3:
            await tx.execute(statement, *(["x"] if "$1" in statement else []))
        return []

    handlers = {Put: each(choosy), Pat: each(choosy)}
    await site.send(*(Put(thing=f"k{n}", n=n) for n in range(6)))
    async with site.running(sample_service(site.script, site.outside, handlers=handlers)):
        assert sorted(await site.until_effects(5)) == ["0", "1", "2", "4", "5"]
        await asyncio.sleep(0.5)
    letters = await site.fleet.fetch("SELECT key, attempts FROM sample.dead_letters")
    assert [tuple(row) for row in letters] == [("k3", 4)]


async def test_a_deferred_constraint_blames_its_event(site: Site) -> None:
    """What Postgres would find only at the commit is found at the event that broke it."""
    async with schema(site) as connection:
        await connection.execute("CREATE TABLE lonely (id text, UNIQUE (id) DEFERRABLE INITIALLY DEFERRED)")
        await connection.execute(f"GRANT ALL ON lonely TO {site.config.flow}_sample")

    async def insert(event: Received[Any], tx: Transaction) -> Iterable[Event]:
        await tx.execute("INSERT INTO lonely VALUES ($1)", "same" if event.event.n in (1, 4) else event.key)
        await leave(tx, [(event.key, str(event.event.n))])
        return []

    handlers = {Put: each(insert), Pat: each(insert)}
    await site.send(*(Put(thing=f"k{n}", n=n) for n in range(6)))
    async with site.running(sample_service(site.script, site.outside, handlers=handlers)):
        assert len(await site.until_effects(5)) == 5
        await asyncio.sleep(0.5)
    assert len(await site.effects()) == 5
    assert len(await site.fleet.fetch("SELECT 1 FROM sample.dead_letters")) == 1


async def test_a_service_can_do_no_more_than_its_own_rows(site: Site) -> None:
    """Its role reads and writes its tables, and neither alters them nor sees its neighbour's."""
    connection = await role_connection(site)
    try:
        for statement in (
            "DROP TABLE effects",
            "TRUNCATE inbox",
            "SELECT * FROM source.offsets",
            "CREATE TABLE x (i int)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()
