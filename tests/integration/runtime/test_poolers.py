"""Poolers between us and Postgres: a pool of sessions works, one of transactions is refused before anything is done."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg
import pytest

from orderflow_model.names import role_name
from orderflow_runtime.core.event_log import Partition
from orderflow_runtime.core.store import StoreUnavailable
from orderflow_runtime.postgres.migrator import migrate
from orderflow_runtime.postgres.pooling import SharedSessionError
from orderflow_runtime.postgres.postgres_store import PostgresStore
from support.flow.fleet import PASSWORD, until
from support.runtime.real import Site, sample_flow
from support.runtime.sample_service import Put
from support.tools.pgbouncer import pooled

WORDS = r"pooler in transaction mode.* of a pool in session mode .*pool_mode=session"


@contextmanager
def pool(site: Site, mode: str, **settings: str) -> Iterator[str]:
    """Send the site's services through a pool; give the admin's URI there."""
    roles = {role_name(site.fleet.flow.metadata.name, one.name): PASSWORD for one in site.fleet.flow.spec.services}
    with pooled(site.fleet.admin_url, mode, roles, **settings) as through:
        direct, site.fleet.admin_url = site.fleet.admin_url, through
        try:
            yield through
        finally:
            site.fleet.admin_url = direct


@asynccontextmanager
async def idle_servers(uri: str, count: int) -> AsyncIterator[None]:
    """Leave so many idle server connections in the pool of a URI's user."""
    clients = [await asyncpg.connect(uri, statement_cache_size=0) for _ in range(count)]
    await asyncio.gather(*(client.execute("SELECT pg_sleep(0.2)") for client in clients))
    try:
        yield
    finally:
        for client in clients:
            await client.close()


@pytest.mark.parametrize("mode", ["transaction", "statement"])
@pytest.mark.parametrize("turn", ["0", "1"])
@pytest.mark.parametrize("servers", [2, 4])
async def test_a_pool_of_transactions_is_refused_by_the_store(site: Site, mode: str, turn: str, servers: int) -> None:
    """A service that would share its session says so and the way round, whichever server the pool takes next."""
    with pool(site, mode, server_round_robin=turn):
        store = site.store()
        async with idle_servers(site.settings("sample").env["ORDERFLOW_DATABASE_URL"], servers):
            with pytest.raises(StoreUnavailable, match=WORDS):
                await store.start()
            with pytest.raises(StoreUnavailable, match=WORDS):
                await store.acquire([Partition("t", 0)], "me")
        await store.stop()


@pytest.mark.parametrize("turn", ["0", "1"])
@pytest.mark.parametrize("size", ["2", "8"])
async def test_a_pool_of_transactions_is_seen_while_others_use_it(site: Site, size: str, turn: str) -> None:
    """Other clients of the same pool, who take its servers from under us, hide nothing."""
    with pool(site, "transaction", default_pool_size=size, server_round_robin=turn):
        uri = site.settings("sample").env["ORDERFLOW_DATABASE_URL"]

        async def use(used: asyncio.Event) -> None:
            client = await asyncpg.connect(uri, statement_cache_size=0)
            try:
                while True:
                    await client.execute("SELECT pg_sleep(0.002)")
                    used.set()
            finally:
                client.terminate()

        all_used = [asyncio.Event() for _ in range(3)]
        others = [asyncio.create_task(use(used)) for used in all_used]
        async with idle_servers(uri, int(size)):
            await asyncio.gather(*(used.wait() for used in all_used))
            for _ in range(20):
                store = site.store()
                with pytest.raises(StoreUnavailable, match=WORDS):
                    await store.start()
                await store.stop()
        for other in others:
            other.cancel()
        await asyncio.wait(others)


async def test_a_pool_of_transactions_is_refused_before_a_migration_changes_anything(
    database: str, flow_name: str
) -> None:
    """The migration says the same, and makes no role and no schema."""
    flow = sample_flow(flow_name)
    with pooled(database, "transaction", {}) as through, pytest.raises(SharedSessionError, match=WORDS):
        await migrate(through, flow, dict.fromkeys(("sample", "source"), PASSWORD))
    connection = await asyncpg.connect(database)
    assert not await connection.fetch("SELECT 1 FROM pg_roles WHERE rolname LIKE $1", f"{flow_name}%")
    assert not await connection.fetch("SELECT 1 FROM pg_namespace WHERE nspname IN ('sample', 'source')")
    await connection.close()


async def test_a_flow_works_through_a_pool_of_sessions(site: Site) -> None:
    """Migrated and run through the pool, a service's effects happen, and its sessions are set as without one."""
    with pool(site, "session") as through:
        await migrate(through, site.fleet.flow, dict.fromkeys(("sample", "source"), PASSWORD))
        async with site.running():
            await site.send(*(Put(thing=f"k{number}", n=number) for number in range(20)))
            assert len(await site.until_effects(20)) == 20
        store = site.store()
        for _ in range(2):  # the second read comes from a connection that has been used
            assert (await store.read("SELECT current_schema() AS s"))[0]["s"] == "sample"
        async with store.transaction() as tx:
            rows = await tx.fetch("SELECT current_schema() AS s, current_setting('enable_seqscan') AS scan")
        assert [tuple(row.values()) for row in rows] == [("sample", "off")]
        await store.stop()


async def test_a_publish_only_services_locks_hold_in_a_pool_of_sessions(site: Site) -> None:
    """Each shard's lock is one instance's, and free as soon as that instance has gone."""
    with pool(site, "session"):
        one, other = site.store("source"), site.store("source")
        assert await one.try_locks([0, 1]) == {0, 1}
        assert await other.try_locks([0, 1]) == frozenset()
        await one.stop()

        async def free() -> bool:
            return await other.try_locks([0, 1]) == {0, 1}

        await until(free, "the locks are free")
        await other.stop()


async def test_a_direct_connection_is_never_taken_for_a_pool(site: Site) -> None:
    """Many stores that start at once on Postgres itself all start."""
    stores: list[PostgresStore] = [site.store() for _ in range(10)]
    await asyncio.gather(*(store.start() for store in stores))
    for store in stores:
        await store.stop()
