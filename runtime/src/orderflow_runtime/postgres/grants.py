"""What a service's role may do: reach the database, and use its own schema's rows, sequences and functions; and what a
role may read that only looks at a flow.

Every right is given by name, so that it holds where the rights of PUBLIC have been taken away, as a careful or hosted
Postgres has it.
"""

import asyncpg

from orderflow_runtime.postgres.migration_failures import NotGrantedError
from orderflow_runtime.postgres.ownership import Role
from orderflow_runtime.postgres.quoting import run_quoted

_IN_SCHEMA = (
    "GRANT USAGE ON SCHEMA %I TO %I",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO %I",  # rows: a service alters no table
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %I TO %I",
    "GRANT EXECUTE ON ALL ROUTINES IN SCHEMA %I TO %I",
)


async def grant(connection: asyncpg.Connection, role: Role) -> None:
    """Grant all of it, in the caller's transaction; raise `NotGrantedError` when the role cannot be let in."""
    for statement in _IN_SCHEMA:
        await run_quoted(connection, statement, role.schema, role.name)
    await run_quoted(connection, "REVOKE ALL ON %I.schema_version FROM %I", role.schema, role.name)
    await _let_connect(connection, role)


_KEYS = "FUNCTION privacy.open_keys(uuid[]), privacy.seal_keys(text[], bytea[], uuid[], bytea[])"


async def grant_keys(connection: asyncpg.Connection, role: Role) -> None:
    """Let a service ask for people's keys, by the functions alone, in the caller's transaction."""
    await run_quoted(connection, "GRANT USAGE ON SCHEMA privacy TO %I", role.name)
    await run_quoted(connection, f"GRANT EXECUTE ON {_KEYS} TO %I", role.name)


async def revoke_keys(connection: asyncpg.Connection, role: Role) -> None:
    """Take that right from a service which has it no more."""
    if await connection.fetchval("SELECT to_regprocedure('privacy.open_keys(uuid[])')") is not None:
        await run_quoted(connection, f"REVOKE EXECUTE ON {_KEYS} FROM %I", role.name)
        await run_quoted(connection, "REVOKE USAGE ON SCHEMA privacy FROM %I", role.name)


_READABLE = {
    "offsets": "",
    "inbox": "",
    "journal": "",
    "dead_letters": "",
    "parked": "(id, key, type, topic, partition, record_offset, attempts, reason, parked_at, due_at)",
    "calls": "(id, kind, key, attempts, reason, created_at)",
    "timers": "(key, name, due_at)",
    "saga_instances": "",
    "saga_open": "",
    "saga_states": "",
}
"""What the read model of a flow asks for, by table or view: of events and calls that wait, nothing that they hold."""


async def grant_reading(connection: asyncpg.Connection, schema: str, reader: str) -> None:
    """Grant a role what the read model asks of one service's schema, in the caller's transaction, and nothing else.

    What a service stores of its own, and what waiting events and calls hold, may be personal and stays closed.
    """
    await run_quoted(connection, "GRANT USAGE ON SCHEMA %I TO %I", schema, reader)
    for table, columns in _READABLE.items():
        if await connection.fetchval("SELECT to_regclass(format('%I.%I', $1::text, $2::text))", schema, table):
            await run_quoted(connection, f"GRANT SELECT {columns} ON %I.{table} TO %I", schema, reader)


async def grant_console(connection: asyncpg.Connection, schema: str, console: str) -> None:
    """Grant a console's role the same, and to note of dead letters that they were put back."""
    await grant_reading(connection, schema, console)
    if await connection.fetchval("SELECT to_regclass(format('%I.dead_letters', $1::text))", schema):
        await run_quoted(connection, "GRANT UPDATE (state, redrives) ON %I.dead_letters TO %I", schema, console)


async def _let_connect(connection: asyncpg.Connection, role: Role) -> None:
    database = await connection.fetchval("SELECT current_database()")
    try:
        async with connection.transaction():
            await run_quoted(connection, "GRANT CONNECT ON DATABASE %I TO %I", database, role.name)
    except asyncpg.InsufficientPrivilegeError:
        pass  # not the database's owner; it may have granted it itself
    if not await connection.fetchval("SELECT has_database_privilege($1, $2, 'CONNECT')", role.name, database):
        raise NotGrantedError(
            f"role {role.name} may not connect, and the admin may not let it: the database's owner has to run "
            f'GRANT CONNECT ON DATABASE "{database}" TO "{role.name}", or to give the admin that right '
            f"WITH GRANT OPTION"
        )
