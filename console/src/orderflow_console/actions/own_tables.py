"""The console's own tables in the flow's database: its jobs, and the trail of who did what.

On a laptop it makes them by itself, in a schema that no service can be called like. In a cluster it is a program of the
flow, whose schema a job has brought up to date before it starts, and whose role may not do so.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from orderflow_console.queries.database import quoted
from orderflow_console.queries.errors import ReadError
from orderflow_model.postgres_uri import PostgresUri
from orderflow_runtime.postgres.connecting import create_pool
from orderflow_runtime.postgres.migrator import migrate_schema

LAPTOP_SCHEMA = "orderflow.console"
"""No service's schema has a dot in its name."""
_MIGRATIONS = Path(__file__).parents[1] / "migrations"
_FAILURES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class OwnTables:
    """The tables in a schema; connections are opened when the first is asked for."""

    def __init__(self, uri: PostgresUri, schema: str = LAPTOP_SCHEMA) -> None:
        self.schema = schema
        self._uri = uri
        self._pool: asyncpg.Pool | None = None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
        """Yield a connection that works in the schema; raise `ReadError` when the database does not answer."""
        try:
            if self._pool is None:
                self._pool = await self._opened()
            async with self._pool.acquire() as connection:
                yield connection
        except _FAILURES as error:
            raise ReadError(f"the database cannot be asked: {error}", "Is the flow running?") from None

    def close(self) -> None:
        """Let the database go."""
        if self._pool is not None:
            self._pool.terminate()

    async def _opened(self) -> asyncpg.Pool:
        if self.schema == LAPTOP_SCHEMA:
            await migrate_schema(self._uri, self.schema, _MIGRATIONS)
        return await create_pool(self._uri, {"search_path": quoted(self.schema)}, max_size=2)
