"""A database that is slow, locked or wrongly set up costs time, never an event: nothing goes to the dead letters."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from orderflow_model.names import role_name
from orderflow_runtime.process import Process
from support.flow.fleet import until
from support.runtime.real import Site
from support.runtime.sample_service import Put

TABLES = ("effects", "inbox", "outbox", "offsets", "parked", "timers", "dead_letters")
LOCKS = [
    *(("lock_timeout = '100ms'", table) for table in TABLES),
    *(("statement_timeout = '150ms'", table) for table in ("effects", "offsets")),
    ("transaction_timeout = '300ms'", "effects"),
]


@pytest.fixture
async def admin(site: Site) -> AsyncIterator[asyncpg.Connection]:
    """The superuser's connection to the service's schema."""
    connection = await asyncpg.connect(site.fleet.admin_url, server_settings={"search_path": "sample"})
    yield connection
    await connection.close()


@asynccontextmanager
async def locked(admin: asyncpg.Connection, table: str) -> AsyncIterator[None]:
    """Hold a table of the service, as a person's forgotten transaction or an ALTER TABLE does."""
    async with admin.transaction():
        await admin.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


async def all_are_handled(site: Site, count: int) -> None:
    """Each event has its effect once, at its first attempt."""
    await site.until_effects(count)
    assert len(await site.effects()) == count
    assert await site.fleet.fetch("SELECT 1 FROM sample.dead_letters UNION ALL SELECT 1 FROM sample.parked") == []
    assert await site.fleet.fetch("SELECT what FROM sample.journal") == []


@pytest.mark.parametrize(("limit", "table"), LOCKS, ids=[f"{limit.split()[0]} {table}" for limit, table in LOCKS])
async def test_a_lock_costs_time_and_no_event(site: Site, admin: asyncpg.Connection, limit: str, table: str) -> None:
    """Whatever gives up waiting for the lock, and on whichever table: after it all is done, in the same process."""
    role = role_name(site.config.flow, "sample")  # its alone: what the test itself asks may take its time
    await admin.execute(f"ALTER ROLE {role} SET {limit}")
    async with site.running() as process:
        await site.send(Put(thing="k0", n=0))
        await site.until_effects(1)
        async with locked(admin, table):
            await site.send(*(Put(thing=f"k{n % 3}", n=n) for n in range(1, 13)))
            await asyncio.sleep(1)
        await all_are_handled(site, 13)
        await until(lambda: process._worker.ready, "it is ready again")


async def told(process: Process, words: str) -> None:
    """Wait until readiness says so."""
    await until(lambda: words in process._worker.obstacle, f"told: {words}")


async def test_a_right_that_is_missing_is_told_and_waited_for(site: Site, admin: asyncpg.Connection) -> None:
    """Events wait until it is granted again, and readiness says what is missing and what to do."""
    role = (await site.fleet.fetch("SELECT rolname FROM pg_roles WHERE rolname LIKE '%_sample'"))[-1]["rolname"]
    async with site.running() as process:
        await site.send(Put(thing="k0", n=0))
        await site.until_effects(1)
        await admin.execute(f"REVOKE INSERT ON effects FROM {role}")
        await site.send(*(Put(thing=f"k{n % 3}", n=n) for n in range(1, 7)))
        await told(process, "permission denied for table effects (42501)")
        assert "migration" in process._worker.obstacle
        await admin.execute(f"GRANT INSERT ON effects TO {role}")
        await all_are_handled(site, 7)
        await until(lambda: process._worker.ready, "it is ready again")


async def test_a_table_that_is_not_there_is_told_and_waited_for(site: Site, admin: asyncpg.Connection) -> None:
    """A migration that failed half way, or a version before its time: no event is given up for it."""
    async with site.running() as process:
        await admin.execute("ALTER TABLE effects RENAME TO elsewhere")
        await site.send(*(Put(thing=f"k{n % 3}", n=n) for n in range(6)))
        await told(process, "(42P01)")
        await admin.execute("ALTER TABLE elsewhere RENAME TO effects")
        await all_are_handled(site, 6)


async def test_what_an_event_itself_breaks_is_still_its_own_fault(site: Site, admin: asyncpg.Connection) -> None:
    """A constraint that one event violates counts its attempts; the others go on."""
    await admin.execute("ALTER TABLE effects ADD CHECK (key <> 'bad')")
    async with site.running() as process:
        await site.send(*(Put(thing=thing, n=n) for n, thing in enumerate(("good", "bad", "fine"))))
        await site.until_effects(2)
        letters = "SELECT attempts FROM sample.dead_letters"
        await until(lambda: _some(site, letters), "the bad one dies")
        assert process._worker.ready
    assert [row["attempts"] for row in await site.fleet.fetch(letters)] == [4]


async def _some(site: Site, query: str) -> bool:
    return bool(await site.fleet.fetch(query))
