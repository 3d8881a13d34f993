"""Statements that share a round trip, on a real Postgres: what fails, what is undone, and what is said of it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from urllib.parse import urlsplit

import asyncpg
import pytest

from orderflow_runtime.core.event_log import Partition, Position, pack
from orderflow_runtime.core.store import (
    BatchClaim,
    BatchWrites,
    Fenced,
    JournalRow,
    NotAsExpectedError,
    OutboxRow,
    StoreUnavailable,
)
from orderflow_runtime.core.work_item import InboxRow
from orderflow_runtime.postgres import pipeline
from orderflow_runtime.postgres.postgres_store import PostgresStore
from orderflow_runtime.settings import MisconfiguredError
from support.runtime.batch import connect, make_schema

P = Partition("t.put", 0)
_INSERT = "INSERT INTO timers (key, name, topic, partition, due_at, payload) VALUES ($1, $2, 't', 0, now(), '')"
_PARK = """
INSERT INTO parked (topic, partition, record_offset, key, type, headers, value, attempts, reason, due_at)
VALUES ('t.put', 0, 1, 'parked', 'PUT', '', '', 1, '', now())"""
_SYNC = b"S\0\0\0\4"


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresStore]:
    """A store that has the lease of P by epoch 1."""
    await make_schema(database, "order")
    store = PostgresStore(database, "order")
    await store.acquire([P], "one")
    yield store
    await store.stop()


@pytest.fixture
async def admin(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection beside it."""
    connection = await connect(database, "order")
    yield connection
    await connection.close()


def claim(offset: int) -> BatchClaim:
    """A batch up to an offset."""
    return BatchClaim({P: (1, Position(offset))})


async def offset(admin: asyncpg.Connection) -> int:
    """Return where the store goes on."""
    found: int = await admin.fetchval("SELECT next_offset FROM offsets")
    return found


async def prepare(store: PostgresStore) -> None:
    """Have statements prepared: the first of each is sent at once."""
    async with store.transaction() as tx:
        await tx.open(claim(1))
        await tx.execute(_INSERT, "prepared", "first")
        await tx.close(BatchWrites(outbox={P: pack([])}, journal=[JournalRow("k", "FIRED", "t", None)]))


async def batch(store: PostgresStore, at: int, *timers: tuple[str, str]) -> OutboxRow:
    """Run a batch that sets timers, by key and name, and publishes something."""
    async with store.transaction() as tx:
        await tx.open(claim(at))
        for key, name in timers:
            await tx.execute(_INSERT, key, name)
        (row,) = await tx.close(BatchWrites(outbox={P: pack([])}))
    return row


async def test_a_statement_that_fails_late_fails_its_batch_and_no_other(
    store: PostgresStore, admin: asyncpg.Connection
) -> None:
    """What was held back is answered with the outbox and COMMIT: nothing of the batch is there, the next commits."""
    await prepare(store)
    with pytest.raises(asyncpg.UniqueViolationError):
        await batch(store, 7, ("k", "new"), ("prepared", "first"))
    assert await offset(admin) == 1
    assert await admin.fetchval("SELECT count(*) FROM timers") == 1
    row = await batch(store, 8, ("k", "new"))
    assert await admin.fetchval("SELECT id FROM outbox ORDER BY id DESC LIMIT 1") == row.id
    assert await offset(admin) == 8
    assert await admin.fetchval("SELECT count(*) FROM timers") == 2


async def test_a_failure_that_a_handler_passes_over_is_no_commit(
    store: PostgresStore, admin: asyncpg.Connection
) -> None:
    """Postgres answers COMMIT of a failed transaction with ROLLBACK and no error: the batch must not count as done."""

    async def pass_over() -> None:
        async with store.transaction() as tx:
            await tx.open(claim(7))
            with suppress(asyncpg.DivisionByZeroError):
                await tx.fetch("SELECT 1 / 0")
            await tx.close(BatchWrites())

    with pytest.raises(asyncpg.InFailedSQLTransactionError):
        await pass_over()
    assert await offset(admin) == 0


async def test_a_query_is_answered_for_what_was_held_back_before_it(
    store: PostgresStore, admin: asyncpg.Connection
) -> None:
    """A query sees the rows that statements before it have written, and fails where they do."""
    await prepare(store)
    async with store.transaction() as tx:
        await tx.open(claim(2))
        await tx.execute(_INSERT, "k", "a")
        await tx.execute(_INSERT, "k", "b")
        assert [row["name"] for row in await tx.fetch("SELECT name FROM timers WHERE key = 'k' ORDER BY name")] == [
            *"ab"
        ]

    async def query() -> None:
        async with store.transaction() as tx:
            await tx.open(claim(7))
            await tx.execute(_INSERT, "k", "b")
            await tx.fetch("SELECT name FROM timers")

    with pytest.raises(asyncpg.UniqueViolationError):
        await query()
    assert await offset(admin) == 2
    assert await admin.fetchval("SELECT count(*) FROM timers") == 3


async def test_under_a_savepoint_what_was_held_back_is_undone_alone(
    store: PostgresStore, admin: asyncpg.Connection
) -> None:
    """A statement fails within its savepoint, one whose handler fails is not sent at all, and those beside commit."""
    await prepare(store)
    async with store.transaction() as tx:
        await tx.open(claim(3))
        async with tx.savepoint():
            await tx.execute(_INSERT, "k", "kept")
        with pytest.raises(asyncpg.UniqueViolationError):
            async with tx.savepoint():
                await tx.execute(_INSERT, "prepared", "first")
        with suppress(ZeroDivisionError):
            async with tx.savepoint():
                await tx.execute(_INSERT, "k", "undone")
                raise ZeroDivisionError
        await tx.close(BatchWrites())
    assert [row["name"] for row in await admin.fetch("SELECT name FROM timers WHERE key = 'k'")] == ["kept"]
    assert await offset(admin) == 3


async def test_a_transaction_that_ends_before_its_first_statement_leaves_no_trace(
    store: PostgresStore, admin: asyncpg.Connection
) -> None:
    """Whether its block ends well or not; what was held back is not sent with the next one's."""
    await prepare(store)
    async with store.transaction():
        pass
    with suppress(ZeroDivisionError):
        async with store.transaction() as tx:
            await tx.execute(_INSERT, "k", "undone")
            raise ZeroDivisionError
    with pytest.raises(Fenced):
        async with store.transaction() as tx:
            await tx.open(BatchClaim({P: (2, Position(9))}))
    async with store.transaction() as tx:
        await tx.open(claim(4))
    assert await offset(admin) == 4
    assert await admin.fetchval("SELECT count(*) FROM timers") == 1


async def test_more_than_is_held_back_goes_out_at_once(store: PostgresStore, admin: asyncpg.Connection) -> None:
    """Large statements are sent when the next would pass the limit, all in their order."""
    await prepare(store)
    async with store.transaction() as tx:
        await tx.open(claim(5))
        for number in range(8):
            await tx.execute(_INSERT, f"{number}" + "x" * 100_000, "large")
        await tx.execute("UPDATE timers SET name = 'seen'; UPDATE timers SET partition = 1")
        await tx.close(BatchWrites())
    assert await admin.fetchval("SELECT count(*) FROM timers WHERE name = 'seen' AND partition = 1") == 9


async def test_a_copy_comes_after_what_was_held_back(store: PostgresStore, admin: asyncpg.Connection) -> None:
    """Rows that are copied stand behind those written before, and what is wrong with these is raised at once."""
    await prepare(store)

    async def copying(*timers: tuple[str, str]) -> None:
        async with store.transaction() as tx:
            await tx.open(claim(9))
            for key, name in timers:
                await tx.execute(_INSERT, key, name)
            await tx.copy("journal", ("key", "what", "type"), [("copied", "FIRED", "t")])
            await tx.close(BatchWrites(outbox={P: pack([])}))

    await copying(("k", "one"), ("k", "two"))
    async with asyncio.timeout(10):
        with pytest.raises(asyncpg.UniqueViolationError):
            await copying(("k", "three"), ("k", "two"))
    assert await admin.fetchval("SELECT count(*) FROM timers") == 3
    assert await admin.fetchval("SELECT count(*) FROM journal WHERE key = 'copied'") == 1


@asynccontextmanager
async def watched(database: str, forward: Callable[[bytes], list[bytes]], sent: list[bytes]) -> AsyncIterator[str]:
    """Run a proxy that notes what is sent and forwards answers in the pieces that `forward` makes; give the URL."""

    async def serve(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(parts.hostname, parts.port)

        async def answers() -> None:
            while chunk := await server.read(65_536):
                for piece in forward(chunk):
                    to_client.write(piece)
                    await asyncio.sleep(0)
            to_client.close()

        answering = asyncio.create_task(answers())
        while chunk := await client.read(65_536):
            sent.append(chunk)
            to_server.write(chunk)
        to_server.close()
        await answering

    parts = urlsplit(database)
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        yield parts._replace(netloc=parts.netloc.rpartition(":")[0] + f":{port}").geturl()


async def test_a_small_batch_is_two_round_trips(store: PostgresStore, database: str, admin: asyncpg.Connection) -> None:
    """BEGIN and the claim go with the first query, statements without rows and COMMIT with the outbox."""
    sent: list[bytes] = []
    async with watched(database, lambda chunk: [chunk], sent) as url:
        other = PostgresStore(url, "order")
        await prepare(other)
        for at in (6, 7):
            await wait_for_a_call(admin, f"c{at}", f"t{at}")
            sent.clear()
            async with other.transaction() as tx:
                await tx.expect(claim(at), [("k", f"t{at}")], [f"c{at}"])
                await tx.fetch("SELECT 1")
                await tx.execute(_INSERT, "k", f"new{at}")
                await tx.close(BatchWrites(outbox={P: pack([])}, journal=[JournalRow("k", "FIRED", "t", None)]))
        assert b"".join(sent).count(_SYNC) == 2
        assert await offset(admin) == 7
        await other.stop()


async def wait_for_a_call(admin: asyncpg.Connection, call: str, timer: str) -> None:
    """Have a call asked for, and a timer due."""
    await admin.execute("INSERT INTO calls VALUES ($1, 'ask', 'k', $2, 0, '{}')", call, P.topic)
    await admin.execute(_INSERT, "k", timer)


@pytest.mark.parametrize("surprise", ["a repeat", "twice", "a lost lease", "a parked key", "no timer", "no call"])
@pytest.mark.parametrize("asks", [True, False])
async def test_a_claim_that_is_not_as_expected_leaves_nothing(
    store: PostgresStore, admin: asyncpg.Connection, surprise: str, asks: bool
) -> None:
    """Whatever of it is not ours or not new, a query or the commit fails, and what the handler wrote is undone."""
    await prepare(store)
    await wait_for_a_call(admin, "c", "t")
    event = InboxRow(uuid.uuid4(), 1, "PUT", datetime.now(UTC))
    await admin.execute(_PARK)

    async def handle(at: int, epoch: int, keys: set[str], inbox: list[InboxRow], timer: str, call: str) -> None:
        async with store.transaction() as tx:
            await tx.expect(BatchClaim({P: (epoch, Position(at))}, (), inbox, keys), [("k", timer)], [call])
            await tx.execute(_INSERT, "k", f"written{at}")
            if asks:
                await tx.fetch("SELECT 1")
            await tx.close(BatchWrites(outbox={P: pack([])}))

    await handle(7, 1, {"free"}, [event], "t", "c")
    await wait_for_a_call(admin, "c", "t")
    repeats = {"a repeat": [event], "twice": [event._replace(id=uuid.uuid4())] * 2}.get(surprise, [])
    with pytest.raises(NotAsExpectedError):
        await handle(
            8,
            2 if surprise == "a lost lease" else 1,
            {"parked"} if surprise == "a parked key" else {"free"},
            repeats,
            "gone" if surprise == "no timer" else "t",
            "gone" if surprise == "no call" else "c",
        )
    assert await offset(admin) == 7
    assert await admin.fetchval("SELECT count(*) FROM outbox") == 2
    assert await admin.fetchval("SELECT count(*) FROM timers WHERE name = 'written8'") == 0
    assert await admin.fetchval("SELECT count(*) FROM calls") == 1


async def test_answers_may_come_in_any_pieces(store: PostgresStore, database: str, admin: asyncpg.Connection) -> None:
    """A network cuts answers anywhere: what asyncpg reads is the same."""
    async with watched(database, lambda chunk: [chunk[n : n + 1] for n in range(len(chunk))], []) as url:
        other = PostgresStore(url, "order")
        await prepare(other)
        row = await batch(other, 11, ("k", "new"))
        assert await admin.fetchval("SELECT max(id) FROM outbox") == row.id
        with pytest.raises(asyncpg.UniqueViolationError):
            await batch(other, 12, ("k", "new"))
        async with other.transaction() as tx:
            await tx.open(claim(13))
        assert await offset(admin) == 13
        await other.stop()


async def test_a_backend_that_ends_in_the_middle_is_told_of(store: PostgresStore, admin: asyncpg.Connection) -> None:
    """Held back or not: the batch is not done, and the next one has a connection of its own."""
    await prepare(store)

    async def be_cut_off() -> None:
        async with store.transaction() as tx:
            await tx.open(claim(7))
            (pid,) = (await tx.fetch("SELECT pg_backend_pid()"))[0]
            await admin.execute("SELECT pg_terminate_backend($1)", pid)
            await tx.execute(_INSERT, "k", "lost")
            await tx.close(BatchWrites(outbox={P: pack([])}))

    with pytest.raises(StoreUnavailable):
        await be_cut_off()
    assert await offset(admin) == 1
    async with store.transaction() as tx:
        await tx.open(claim(8))
    assert await offset(admin) == 8


def test_a_version_whose_inside_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another asyncpg may write otherwise, and nothing would say so."""
    monkeypatch.setattr(asyncpg, "__version__", "0.99.0")
    with pytest.raises(MisconfiguredError, match=r"0\.99\.0 .* works with 0\.32\.x alone"):
        pipeline.install()
