"""The removal job of a cluster: `python -m orderflow_runtime.removal` drops what a flow no longer has in its database.

The operator starts it under `deletionPolicy: Delete`, when the pods are gone. ORDERFLOW_REMOVAL is JSON `{"owner":
NAMESPACE/FLOW, "keep": [service]}`, ORDERFLOW_DATABASE_URL the admin's. Only what is marked as the owner's goes
(`ownership.py`), each schema and role whole or not at all; where others use it, it stays and is told of.
"""

import os
from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import msgspec

from orderflow_model import environment
from orderflow_model.names import role_name, schema_name
from orderflow_model.postgres_uri import PostgresUri
from orderflow_model.spec.privacy import PRIVACY
from orderflow_runtime.database_job import read_json, run_job
from orderflow_runtime.postgres.connecting import connect
from orderflow_runtime.postgres.migration_failures import StillUsedError
from orderflow_runtime.postgres.ownership import owned_roles, owned_schemas
from orderflow_runtime.postgres.quoting import run_quoted
from orderflow_runtime.settings import required

_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '15s'"  # a session that was left open by a pod ends its transaction sooner
_USERS_OF_SCHEMA = """
SELECT DISTINCT v.oid::regclass::text FROM pg_depend AS d
JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
JOIN pg_class AS v ON v.oid = r.ev_class
JOIN pg_class AS t ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
WHERE t.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND v.relnamespace <> t.relnamespace
UNION SELECT c.conrelid::regclass::text FROM pg_constraint AS c
JOIN pg_class AS t ON t.oid = c.confrelid JOIN pg_class AS o ON o.oid = c.conrelid
WHERE t.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND o.relnamespace <> t.relnamespace ORDER BY 1
"""
_OWNED_BY_ROLE = """
SELECT pg_describe_object(classid, objid, objsubid) FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass
AND refobjid = (SELECT oid FROM pg_roles WHERE rolname = $1) AND deptype = 'o'
AND dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) ORDER BY 1
"""

Drop = Callable[[asyncpg.Connection, str], Awaitable[None]]


class Given(msgspec.Struct):
    """What ORDERFLOW_REMOVAL holds."""

    owner: str
    keep: list[str]


async def remove(admin_uri: str, owner: str, keep: Sequence[str]) -> list[str]:
    """Drop the owner's schemas and roles but those of the services to keep; return what was dropped.

    Raise `StillUsedError` when something had to stay; all the rest is dropped by then.
    """
    flow = owner.rpartition("/")[2]
    schemas, roles = {schema_name(name) for name in keep}, {role_name(flow, name) for name in keep}
    schemas |= {PRIVACY} if keep else set()  # what is sealed by its keys is in the topics of those that stay
    connection = await connect(PostgresUri.parse(admin_uri))
    try:
        going = [
            ("schema", _drop_schema, name) for name in await owned_schemas(connection, owner) if name not in schemas
        ]
        going += [("role", _drop_role, name) for name in await owned_roles(connection, owner) if name not in roles]
        left = [why for kind, drop, name in going if (why := await _left(connection, kind, drop, name))]
    finally:
        await connection.close()
    if left:
        raise StillUsedError("; ".join(left))
    return [f"{kind} {name}" for kind, _, name in going]


async def _left(connection: asyncpg.Connection, kind: str, drop: Drop, name: str) -> str:
    """Drop one; return why it is left, or nothing."""
    try:
        async with connection.transaction():
            await connection.execute(_LOCK_TIMEOUT)
            await drop(connection, name)
    except (StillUsedError, asyncpg.PostgresError) as error:
        detail = getattr(error, "detail", None)
        why = f"{error}: {detail}" if detail else str(error)
        return f"{kind} {name} is left: {' '.join(why.split())}"
    return ""


async def _drop_schema(connection: asyncpg.Connection, name: str) -> None:
    if users := [row[0] for row in await connection.fetch(_USERS_OF_SCHEMA, name)]:
        raise StillUsedError(f"{', '.join(users)} of others depends on it; drop that first")
    await run_quoted(connection, "DROP SCHEMA %I CASCADE", name)


async def _drop_role(connection: asyncpg.Connection, name: str) -> None:
    """Take the role's rights in this database, then the role; an admin who is no superuser has to be its member."""
    if owned := [row[0] for row in await connection.fetch(_OWNED_BY_ROLE, name)]:
        raise StillUsedError(f"it owns {', '.join(owned)}; give that to another role first")
    await run_quoted(connection, "GRANT %I TO CURRENT_USER", name)
    await run_quoted(connection, "DROP OWNED BY %I", name)
    await run_quoted(connection, "DROP ROLE %I", name)


async def remove_given(admin_uri: str) -> str:
    """Remove what the environment names; return what was done."""
    given = read_json(environment.REMOVAL, required(os.environ, environment.REMOVAL), Given)
    dropped = await remove(admin_uri, given.owner, given.keep)
    return f"dropped {', '.join(dropped)}" if dropped else "dropped nothing: nothing is marked as the flow's"


if __name__ == "__main__":
    run_job("removal", remove_given)
