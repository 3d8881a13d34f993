"""The `--database` option of commands that ask a flow's database, a URI; how they ask, and what that may end with."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
import click

from orderflow_console.queries.database import Database, open_database
from orderflow_model.postgres_uri import InvalidUriError, PostgresUri

FAILURES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a question ends with when Postgres refuses it, is away, or goes away in its middle (the last one)."""


class _Uri(click.ParamType[PostgresUri]):
    name = "uri"

    def convert(
        self, value: str | PostgresUri, param: click.Parameter | None, ctx: click.Context | None
    ) -> PostgresUri:
        """Return the URI; say what is wrong with it without showing it, for it has a password."""
        if isinstance(value, PostgresUri):
            return value
        try:
            return PostgresUri.parse(value)
        except InvalidUriError as error:
            self.fail(str(error), param, ctx)


DATABASE = _Uri()

T = TypeVar("T")


def ask(uri: PostgresUri, question: Callable[[Database], Awaitable[T]]) -> T:
    """Return what a question of the read model answers about this database; raise `ReadError`."""

    async def answer() -> T:
        database = await open_database(uri)
        try:
            return await question(database)
        finally:
            await database.close()

    return asyncio.run(answer())
