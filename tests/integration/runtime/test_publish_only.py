"""A service that reads no topic: its outbox shards are advisory locks, taken over when their holder dies."""

import asyncio

import aiohttp
import asyncpg

from orderflow_runtime.postgres.lock_membership import SHARDS
from orderflow_runtime.postgres.postgres_store import PostgresStore
from support.flow.fleet import until
from support.runtime.real import Site
from support.runtime.sample_service import source_service


async def do(site: Site, instance: str, key: str, n: int) -> None:
    """Hand in a command until it is answered."""
    async with aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.post(site.fleet.url(instance, f"/do/{key}/{n}")) as answer:
                    if answer.status == 200:
                        assert await answer.json() == n
                        return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)


async def test_what_one_instance_took_in_another_publishes_when_it_dies(site: Site) -> None:
    """Two processes take commands; the one that holds the shards is killed, and the other publishes all there is."""
    first = site.fleet.start("source", 0)
    await site.fleet.until_ready(first)
    second = site.fleet.start("source", 1)
    await until(lambda: is_up(site, second), "the second answers")
    await asyncio.gather(*(do(site, (first, second)[n % 2], f"k{n % 5}", n) for n in range(40)))
    await site.until_results(40)
    await asyncio.gather(*(do(site, second, f"k{n % 5}", n) for n in range(40, 60)))
    site.fleet.kill(first)
    for n in range(60, 80):
        await do(site, second, f"k{n % 5}", n)
    results = await site.until_results(80)
    assert sorted(n for _, n in results) == list(range(80))
    for key in range(5):
        later = [n for of, n in results if of == f"k{key}" and n >= 60]
        assert later == sorted(later)
    await until(lambda: outbox_is_empty(site), "what is published is deleted")


async def is_up(site: Site, name: str) -> bool:
    """Whether a process answers at all."""
    try:
        async with aiohttp.ClientSession() as http, http.get(site.fleet.url(name, "/livez")) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def outbox_is_empty(site: Site) -> bool:
    """Whether nothing is owed."""
    return not await site.fleet.fetch("SELECT 1 FROM source.outbox")


async def test_a_lost_session_costs_the_shards_and_they_come_back(site: Site) -> None:
    """When Postgres ends the session that holds the locks, another may take them, and never do two hold the same."""
    other = site.store("source")
    async with site.running(source_service(site.script)) as first:
        assert len(first._worker.owned()) == SHARDS
        assert not await other.try_locks(range(4))
        await until(lambda: snatch(site, other), "another has some")
        taken = await other.try_locks(range(4))
        await until(lambda: len(first._worker.owned()) == SHARDS - len(taken), "the first has the rest, and no more")
        assert not {number for _, number in first._worker.owned()} & taken
        await other.stop()
        await until(lambda: len(first._worker.owned()) == SHARDS, "all are back")


async def snatch(site: Site, store: PostgresStore) -> bool:
    """End the session that holds the locks, as a restart of Postgres would, and take some at once."""
    connection = await asyncpg.connect(site.fleet.admin_url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1"
        " AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')",
        f"{site.config.flow}_source",
    )
    await connection.close()
    return bool(await store.try_locks(range(4)))
