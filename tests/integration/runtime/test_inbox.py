"""Which events are the same, and how long that is remembered, on a real Postgres; and what an upgrade makes of it."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from orderflow_contracts.envelope import Envelope
from orderflow_runtime.core.event_log import Partition, Position
from orderflow_runtime.core.store import BatchClaim
from orderflow_runtime.core.work_item import Identity, inbox_row
from orderflow_runtime.postgres import migrator
from orderflow_runtime.postgres.migrator import Task, migrate_service
from orderflow_runtime.postgres.ownership import Role
from orderflow_runtime.postgres.postgres_store import PostgresStore
from support.runtime.real import Site
from support.runtime.sample_service import Put

P = Partition("t.put", 0)
EVENT = Envelope(str(uuid.uuid4()), "/t/sample", "PUT", datetime.now(UTC))

# what instances of the version before run
BEFORE = """
INSERT INTO inbox (day, id, type, time, trace)
SELECT * FROM unnest($1::date[], $2::uuid[], $3::text[], $4::timestamptz[], $5::bytea[])
ON CONFLICT DO NOTHING RETURNING id
"""


@pytest.fixture
async def store(site: Site) -> AsyncIterator[PostgresStore]:
    """The service's store."""
    store = site.store()
    yield store
    await store.stop()


@pytest.fixture
async def tables(site: Site) -> AsyncIterator[asyncpg.Connection]:
    """The superuser's connection to the service's schema."""
    connection = await asyncpg.connect(site.fleet.admin_url, server_settings={"search_path": "sample"})
    yield connection
    await connection.close()


async def take(store: PostgresStore, *events: Envelope) -> frozenset[Identity]:
    """Open a batch with these events, and return which of them were new."""
    leases = await store.acquire([P], "one")
    async with store.transaction() as tx:
        result = await tx.open(
            BatchClaim({P: (leases[P].epoch, Position(0))}, inbox=[inbox_row(event) for event in events])
        )
    return result.new_ids


async def test_an_event_is_its_source_and_its_id(store: PostgresStore) -> None:
    """The same id of two sources, be it a UUID or not, is two events; another time makes none of it a new one."""
    odd = replace(EVENT, id="order/1 ü")
    first = [EVENT, odd, replace(EVENT, source="/t/other"), replace(odd, source="/t/other")]
    assert len(await take(store, *first)) == 4
    again = [replace(event, time=event.time + timedelta(days=1)) for event in first]
    assert await take(store, *again) == frozenset()
    assert len(await take(store, replace(EVENT, source="urn:third"))) == 1


async def test_what_was_taken_in_is_remembered_whatever_time_it_says(
    store: PostgresStore, tables: asyncpg.Connection
) -> None:
    """Events of long ago and of the far future are known after housekeeping; they go by the day they were taken in."""
    times = [timedelta(days=-40), timedelta(days=-4000), timedelta(days=4000), timedelta()]
    events = [replace(EVENT, id=str(uuid.uuid4()), time=EVENT.time + away) for away in times]
    assert len(await take(store, *events)) == 4
    await store.rotate_inbox(22)
    assert await take(store, *events) == frozenset()
    await tables.execute("UPDATE inbox SET at = now() - interval '21 days 23 hours'")
    await store.rotate_inbox(22)
    assert await take(store, *events) == frozenset()
    await tables.execute("UPDATE inbox SET at = now() - interval '22 days 1 hour'")
    await store.rotate_inbox(22)
    assert len(await take(store, *events)) == 4


async def test_an_old_event_that_comes_again_after_housekeeping_has_its_effect_once(
    site: Site, store: PostgresStore
) -> None:
    """Through Kafka and the whole runtime: 40 days old, handled, housekeeping, once more."""
    old = {"headers": replace(EVENT, time=datetime.now(UTC) - timedelta(days=40)).headers()}
    await site.send(Put(thing="k", n=1), **old)
    async with site.running():
        await site.until_effects(1)
        await store.rotate_inbox(22)
        await site.send(Put(thing="k", n=1), **old)
        await site.send(Put(thing="k", n=2))
        await site.until_effects(2)
    assert await site.effects("k") == ["PUT 1", "PUT 2"]


@pytest.fixture
async def before(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[asyncpg.Connection]:
    """The schema of the version before, by its own migrations, and a connection to it."""
    files = sorted(Path(migrator.__file__).with_name("migrations").glob("000[123]_*.sql"))
    for file in files:
        (tmp_path / file.name).write_text(file.read_text())
    with monkeypatch.context() as patch:
        patch.setattr(migrator, "_RUNTIME", tmp_path)
        await migrate(database)
    connection = await asyncpg.connect(database, server_settings={"search_path": "sample"})
    yield connection
    await connection.close()


async def migrate(database: str) -> None:
    """Bring the schema of a service to what is there."""
    connection = await asyncpg.connect(database)
    await migrate_service(connection, Task(Role(f"t{uuid.uuid4().hex[:8]}", "sample", "secret"), None))
    await connection.close()


def columns(*events: Envelope) -> list[list[object]]:
    """Return events as the version before wrote them."""
    rows = [(event.time.date(), uuid.UUID(event.id), event.type, event.time, None) for event in events]
    return [list(column) for column in zip(*rows, strict=True)]


async def test_an_upgrade_forgets_nothing(before: asyncpg.Connection, database: str) -> None:
    """What was taken in before is known after, whatever day its row stood under; twice the same id is one row."""
    events = [replace(EVENT, id=str(uuid.uuid4()), time=EVENT.time + timedelta(days=day)) for day in (-400, -1, 0, 400)]
    await before.execute("SELECT rotate_inbox(1000)")
    await before.fetch(BEFORE, *columns(*events, replace(events[0], time=EVENT.time)))
    await migrate(database)
    store = PostgresStore(database, "sample")
    try:
        assert await take(store, *events) == frozenset()
        assert len(await take(store, EVENT)) == 1
        await store.rotate_inbox(22)
        assert await take(store, *events) == frozenset()
    finally:
        await store.stop()


async def test_instances_of_both_versions_share_an_inbox(before: asyncpg.Connection, database: str) -> None:
    """While an upgrade goes on, what one version has taken in the other knows, either way, and the old one goes on."""
    mine, yours = replace(EVENT, id=str(uuid.uuid4())), replace(EVENT, id=str(uuid.uuid4()))
    await before.fetch(BEFORE, *columns(EVENT))
    await migrate(database)
    store = PostgresStore(database, "sample")
    try:
        assert len(await before.fetch(BEFORE, *columns(EVENT, yours))) == 1
        assert await take(store, EVENT, yours, mine) == {inbox_row(mine).identity}
        assert await before.fetch(BEFORE, *columns(EVENT, yours, mine)) == []
        await before.execute("SELECT rotate_inbox(22)")
    finally:
        await store.stop()
