"""Runs statements that take no parameters, such as GRANT, with names and passwords quoted by Postgres itself."""

import asyncpg


async def run_quoted(connection: asyncpg.Connection, template: str, *names: str) -> None:
    """Run a statement with its identifiers (%I) and literals (%L) filled in."""
    holes = ", ".join(f"${number}::text" for number in range(2, len(names) + 2))
    await connection.execute(await connection.fetchval(f"SELECT format($1, {holes})", template, *names))
