"""The store in Postgres (asyncpg). `app.py` makes one per process; its transactions are the batches of the dispatcher.

Two connections of its own (the worker's and the intake's) keep their prepared statements; a small pool serves reads.
"""

import asyncio
import contextlib
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from orderflow_contracts.dead_letters import MAX_REDRIVES
from orderflow_model.postgres_uri import PostgresUri
from orderflow_runtime.core.event_log import Partition
from orderflow_runtime.core.store import (
    CallRow,
    Conflict,
    DeadLetter,
    Due,
    Lease,
    NotAsExpectedError,
    OutboxRow,
    Seen,
    StoreRefuses,
    StoreUnavailable,
)
from orderflow_runtime.core.work_item import Identity, InboxRow
from orderflow_runtime.postgres import queries as sql
from orderflow_runtime.postgres.connecting import connect, create_pool
from orderflow_runtime.postgres.connection_failures import CannotConnectError
from orderflow_runtime.postgres.pipeline import install, pipeline_of
from orderflow_runtime.postgres.pooling import SharedSessionError, check_session
from orderflow_runtime.postgres.sqlstates import Fault, advice, fault
from orderflow_runtime.postgres.transaction import PostgresTransaction

T = TypeVar("T")

_LOST = re.compile(r"\bclos(ed|ing)\b|\breleased\b")

_SESSION = {
    # a frozen owner must not hold the lease's row lock for ever
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "jit": "off",
    # every statement of a batch finds its rows by key; a plan made while a table was small must not scan it for ever
    "enable_seqscan": "off",
}
_GENERIC = {"plan_cache_mode": "force_generic_plan"}
"""Else a small batch's statements are planned each time: arrays of one event look cheaper than those of any length."""


def translate(error: BaseException) -> Exception | None:
    """Return the store's own error for one of asyncpg's, or None where the event or its handler is to blame."""
    if isinstance(error, CannotConnectError):
        if fault(error.sqlstate) is Fault.LASTING:
            return StoreRefuses(f"{error}; {advice(error.sqlstate)}")
        return StoreUnavailable(str(error))
    if isinstance(error, SharedSessionError):
        return StoreUnavailable(str(error))
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return StoreUnavailable(_words(error))  # a migration changed a table; a new connection plans anew
    if isinstance(error, asyncpg.PostgresError):
        if error.sqlstate == sql.NOT_AS_EXPECTED:
            return NotAsExpectedError(_words(error))
        return _by_state(error.sqlstate or "", _words(error))
    if isinstance(error, asyncpg.InterfaceError):
        # of the client's own refusals only those of a lost connection say nothing of the call
        return StoreUnavailable(f"Postgres: {error}") if _LOST.search(str(error)) else None
    if isinstance(error, TimeoutError):
        return StoreUnavailable("Postgres did not answer in time")
    if isinstance(error, (asyncpg.InternalClientError, OSError)):
        return StoreUnavailable(f"Postgres: {error!r}")
    return None


def _by_state(state: str, words: str) -> Exception | None:
    match fault(state):
        case Fault.EVENT:
            return None
        case Fault.CONFLICT:
            return Conflict(words)
        case Fault.PASSING:
            return StoreUnavailable(f"{words} ({state})")
        case Fault.LASTING:
            return StoreUnavailable(f"{words} ({state}); {advice(state)}")


def _words(error: asyncpg.PostgresError) -> str:
    """Return what it says without its detail, which quotes rows."""
    return str(error).partition("\nDETAIL:")[0]


@contextlib.contextmanager
def translating() -> Any:
    """Raise the store's own errors for asyncpg's."""
    try:
        yield
    except Exception as error:
        if (own := translate(error)) is not None:
            raise own from error
        raise


class _Line:
    """One connection, made anew after a failure."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]]) -> None:
        self._connect = connect
        self._connection: asyncpg.Connection | None = None

    async def get(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        return self._connection

    async def roll_back(self) -> None:
        """Leave no transaction behind; a connection that cannot is dropped."""
        connection = self._connection
        if connection is None or connection.is_closed():
            return
        pipeline_of(connection).discard()
        if not connection.is_in_transaction():
            return
        try:
            await connection.execute("ROLLBACK", timeout=5)
        except Exception:
            self.drop()

    def drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
        self._connection = None


class PostgresStore:
    """A `Store` in one schema; `uri` is of the service's own role. Raises `InvalidUriError`."""

    def __init__(self, uri: str, schema: str) -> None:
        install()
        self._uri = PostgresUri.parse(uri)
        self._session_is_ours = False
        self._schema = schema
        self._batch = _Line(self._connect)
        self._intake = _Line(self._connect)
        self._aside = _Line(self._connect)
        self._aside_lock = asyncio.Lock()
        self._locks = _Line(self._connect)
        self._pool: asyncpg.Pool | None = None

    async def start(self) -> None:
        """Connect; raise `StoreUnavailable` when Postgres does not answer, or gives no session of our own."""
        with translating():
            await self._batch.get()

    async def stop(self) -> None:
        """Close all connections."""
        for line in (self._batch, self._intake, self._aside, self._locks):
            line.drop()
        if self._pool is not None:
            self._pool.terminate()

    async def acquire(self, partitions: Collection[Partition], owner: str) -> dict[Partition, Lease]:
        """Raise the partitions' epochs, one statement each, so that locks are held one at a time."""
        leases = {}
        for partition in sorted(partitions):
            row = (await self._fetch(sql.ACQUIRE, partition.topic, partition.number, owner))[0]
            leases[partition] = Lease(row["epoch"], sql.position(row))
        return leases

    async def release(self, leases: Mapping[Partition, Lease], published: Sequence[int]) -> None:
        """Mark leases as free."""
        topics, numbers = _columns(leases)
        await self._fetch(sql.RELEASE, topics, numbers, [lease.epoch for lease in leases.values()], list(published))

    async def backlog(
        self, partitions: Collection[Partition], intake: bool, published: Sequence[int], held: Sequence[int]
    ) -> list[OutboxRow]:
        """Return the oldest 200 rows."""
        rows = await self._fetch(sql.BACKLOG, *_columns(partitions), intake, list(published), list(held))
        return [OutboxRow(row["id"], row["messages"], Partition(row["topic"], row["partition"])) for row in rows]

    async def pending_calls(self, partitions: Collection[Partition]) -> list[CallRow]:
        """Return the intents of these partitions."""
        rows = await self._fetch(sql.PENDING_CALLS, *_columns(partitions))
        return [sql.call_row(row) for row in rows]

    async def due(self, partitions: Collection[Partition], limit: int) -> Due:
        """Return what is due, or how long nothing will be."""
        topics, numbers = _columns(partitions)
        next_in = (await self._fetch(sql.NEXT_DUE, topics, numbers))[0]["next_in"]
        if next_in is None or next_in > 0:
            return Due((), (), None if next_in is None else float(next_in))
        parked = await self._fetch(sql.DUE_PARKED, topics, numbers, limit)
        timers = await self._fetch(sql.DUE_TIMERS, topics, numbers, limit)
        return Due([sql.parked_row(row) for row in parked], [sql.timer_row(row) for row in timers], 0.0)

    async def seen(self, inbox: Sequence[InboxRow], keys: Collection[str], letters: Sequence[uuid.UUID]) -> Seen:
        """Ask by one statement, beside the batches."""
        ids, sources = [row.id for row in inbox], [row.source for row in inbox]
        row = (await self._fetch(sql.SEEN, list(keys), ids, sources, list(letters), MAX_REDRIVES))[0]
        taken = zip(row["ids"] or (), row["sources"] or (), strict=True)
        return Seen(
            frozenset(Identity(uuid.UUID(int=id_.int), source) for id_, source in taken),
            frozenset(row["held"] or ()),
            frozenset(uuid.UUID(int=letter.int) for letter in row["letters"] or ()),
        )

    async def neglected(self, topics: Collection[str]) -> frozenset[Partition]:
        """Return the shards that nobody works for."""
        rows = await self._fetch(sql.NEGLECTED, list(topics))
        return frozenset(Partition(row["topic"], row["partition"]) for row in rows)

    async def record_dead_letter(self, letter: DeadLetter) -> None:
        """Note one dead letter, once."""
        await self._fetch(sql.DEAD_LETTER, *sql.letter_values(letter))

    async def note_attempt(self, call_id: str, reason: str) -> None:
        """Count one more attempt of a call."""
        await self._fetch(sql.NOTE_ATTEMPT, call_id, reason)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        """Begin the worker's transaction."""
        async with self._transaction(self._batch) as tx:
            yield tx

    @asynccontextmanager
    async def intake_transaction(self) -> AsyncIterator[PostgresTransaction]:
        """Begin the intake's transaction."""
        async with self._transaction(self._intake) as tx:
            yield tx

    async def read(self, query: str, *args: object) -> Sequence[Mapping[str, Any]]:
        """Query on a pooled connection."""
        with translating():
            if self._pool is None:
                self._pool = await create_pool(self._uri, self._settings(), max_size=4, command_timeout=30)
            rows: Sequence[Mapping[str, Any]] = await self._pool.fetch(query, *args)
            return rows

    async def rotate_inbox(self, keep_days: int) -> None:
        """Run the schema's own function."""
        await self._fetch("SELECT rotate_inbox($1)", keep_days)

    async def try_locks(self, numbers: Sequence[int]) -> frozenset[int]:
        """Take session advisory locks that are free, on a connection kept for them; give all that are held."""
        with translating():
            connection = await self._locks.get()
            await connection.execute(sql.TRY_LOCKS, self._schema, list(numbers))
            return frozenset(row["number"] for row in await connection.fetch(sql.HELD_LOCKS, self._schema))

    async def _fetch(self, query: str, *args: object) -> list[Any]:
        """Run one statement beside the batches, on a connection of its own."""
        async with self._aside_lock:
            with translating():
                connection = await self._aside.get()
                rows: list[Any] = await connection.fetch(query, *args)
                return rows

    @asynccontextmanager
    async def _transaction(self, line: _Line) -> AsyncIterator[PostgresTransaction]:
        with translating():
            connection = await line.get()
            pipeline_of(connection).begin()
        transaction = PostgresTransaction(connection, translating)
        try:
            yield transaction
            if connection.is_in_transaction():  # `close` has not committed
                await transaction.commit()
        except StoreUnavailable:
            line.drop()
            raise
        except BaseException:
            await line.roll_back()
            raise

    async def _connect(self) -> asyncpg.Connection:
        connection = await self._open()
        if not self._session_is_ours:
            try:
                await self._check_session(connection)
            except BaseException:
                connection.terminate()
                raise
        return connection

    async def _check_session(self, connection: asyncpg.Connection) -> None:
        second = await self._open()
        try:
            await check_session(connection, second)
        finally:
            second.terminate()
        self._session_is_ours = True

    async def _open(self) -> asyncpg.Connection:
        return await connect(self._uri, self._settings() | _GENERIC, command_timeout=60, statement_cache_size=200)

    def _settings(self) -> dict[str, str]:
        return _SESSION | {"search_path": self._schema}


def _columns(partitions: Collection[Partition]) -> tuple[list[str], list[int]]:
    return [p.topic for p in partitions], [p.number for p in partitions]
