"""The limit that Postgres sets: a rehearsal's statements, replayed on a fresh database with nothing else to do.

One connection a service, all five at once: services share no rows, so their journals need not wait for each other.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence

import asyncpg
from rehearsal import Statement

from orderflow_runtime.postgres.postgres_store import PostgresStore


async def replay(dsns: Mapping[str, str], journals: Mapping[str, Sequence[Statement]]) -> float:
    """Run all journals (by service) side by side; give the seconds."""
    connections = {name: await PostgresStore(dsn, name)._connect() for name, dsn in dsns.items()}
    started = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for name, connection in connections.items():
            group.create_task(_replay(connection, journals[name]))
    seconds = time.monotonic() - started
    for connection in connections.values():
        await connection.close()
    return seconds


async def _replay(connection: asyncpg.Connection, journal: Sequence[Statement]) -> None:
    for method, query, args in journal:
        await getattr(connection, method)(query, *args)
