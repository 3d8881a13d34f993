"""A flow's Postgres as the read model asks it: read-only, and no question for longer than ten seconds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg

from orderflow_console.queries.errors import InvalidQuestionError, ReadError
from orderflow_model.postgres_uri import PostgresUri
from orderflow_runtime.postgres.connecting import create_pool

_SECONDS = 10
_PATIENCE_SECONDS = 30
_SETTINGS = {"default_transaction_read_only": "on", "statement_timeout": f"{_SECONDS}s", "jit": "off"}
_FAILURES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_SCHEMAS = """SELECT schemaname FROM pg_tables WHERE tablename IN ('offsets', 'inbox', 'journal', 'dead_letters')
  GROUP BY schemaname HAVING count(*) = 4 ORDER BY schemaname"""
_SAGA = "SELECT schemaname FROM pg_views WHERE viewname = 'saga_instances' ORDER BY schemaname LIMIT 1"

Database: TypeAlias = asyncpg.Pool
Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy


async def open_database(uri: PostgresUri, most: int = 4) -> Database:
    """Return a pool of at most so many connections, none of them open yet; its user may read all of the flow."""
    return await create_pool(uri, _SETTINGS, max_size=most)


@asynccontextmanager
async def snapshot(database: Database) -> AsyncIterator[Connection]:
    """Yield a connection on which all questions see one state; raise `ReadError` when Postgres does not answer them.

    A server that stands still ends no question by itself, so after half a minute its connection is cut.
    """
    try:
        async with database.acquire() as connection:
            end = asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, connection.terminate)
            try:
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    yield connection
            finally:
                end.cancel()
    except asyncpg.QueryCanceledError:
        raise ReadError(
            f"the database took longer than {_SECONDS} s", "Ask for less: a shorter time, or a customer"
        ) from None
    except asyncpg.DataError as error:
        raise InvalidQuestionError(f"the database cannot read what is asked: {error}", "Correct it") from None
    except asyncpg.InsufficientPrivilegeError as error:
        raise ReadError(
            f"the database refuses: {error}", "Ask as a user who may read all schemas of the flow"
        ) from None
    except _FAILURES as error:
        raise ReadError(
            f"the database cannot be asked: {error}", "Is the flow running, and the address right?"
        ) from None


async def service_schemas(connection: Connection) -> list[str]:
    """Return the schemas of the flow's services, by name."""
    return [row["schemaname"] for row in await connection.fetch(_SCHEMAS)]


async def saga_schema(connection: Connection) -> str | None:
    """Return the schema of the service that tells of the saga's instances; None where none does."""
    name: str | None = await connection.fetchval(_SAGA)
    return name


def literal(text: str) -> str:
    """Return a text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """Return a name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'
