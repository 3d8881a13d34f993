"""The `--database` option of commands that ask a flow's database, a URI; and what asking may end with."""

import asyncpg
import click

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
