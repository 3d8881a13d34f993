"""A service's schema and role belong to one flow: two flows with services of one name never share tables or passwords.

The owner stands in the comment of schema and role: `NAMESPACE/FLOW` of a cluster, `FLOW` of a laptop. What was made
before there were comments belongs to the flow whose role may use the schema, and is marked at its next migration. A
schema or role that nobody marked and nothing tells of is somebody else's.
"""

from dataclasses import dataclass, field

import asyncpg

from orderflow_model.names import role_name, schema_name
from orderflow_runtime.postgres.migration_failures import LeftBehindError, OwnedElsewhereError
from orderflow_runtime.postgres.quoting import run_quoted

_MARK = "OrderFlow: "
_COMMENT_ON_SCHEMA = "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = $1"
_ROLE = "SELECT shobj_description(oid, 'pg_authid') AS comment FROM pg_roles WHERE rolname = $1"
_SCHEMAS_OF = "SELECT nspname FROM pg_namespace WHERE obj_description(oid, 'pg_namespace') = $1 ORDER BY 1"
_ROLES_OF = "SELECT rolname FROM pg_roles WHERE shobj_description(oid, 'pg_authid') = $1 ORDER BY 1"
_USERS_OF_SCHEMA = """
SELECT r.rolname FROM pg_namespace AS n, aclexplode(n.nspacl) AS a JOIN pg_roles AS r ON r.oid = a.grantee
WHERE n.nspname = $1 AND a.privilege_type = 'USAGE' AND a.grantee <> n.nspowner
AND EXISTS (SELECT 1 FROM pg_class AS c WHERE c.relnamespace = n.oid AND c.relname = 'schema_version')
"""
_IS_MIGRATED = """
SELECT count(*) > 0 FROM pg_class
WHERE relnamespace = to_regnamespace(quote_ident($1)) AND relname = 'schema_version'
"""
_HOLDS_OTHER_THINGS = """
SELECT count(*) > 0 AND count(*) FILTER (WHERE relname = 'schema_version') = 0
FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident($1))
"""


@dataclass(frozen=True)
class Role:
    """A service of a flow, and the password of its database role.

    `owner` is the flow's identity; None where an operator older than this does not tell it, and nothing is then marked.
    """

    flow: str
    service: str
    password: str = field(repr=False)
    owner: str | None = None

    @property
    def name(self) -> str:
        """The role's name in Postgres."""
        return role_name(self.flow, self.service)

    @property
    def schema(self) -> str:
        """The schema that the role works in."""
        return schema_name(self.service)


async def check_owner(connection: asyncpg.Connection, role: Role) -> None:
    """Raise `OwnedElsewhereError` when the service's schema or role is another flow's. Changes nothing."""
    if role.owner is None:
        return
    users = {row["rolname"] for row in await connection.fetch(_USERS_OF_SCHEMA, role.schema)}
    owner = _owner(await connection.fetchval(_COMMENT_ON_SCHEMA, role.schema))
    if owner is None:
        owner = None if role.name in users or not users else f"of role {min(users)}"
    if owner not in (None, role.owner):
        raise _elsewhere("schema", role.schema, owner, role, "a database of its own")
    if owner is None and await connection.fetchval(_HOLDS_OTHER_THINGS, role.schema):
        raise _unmarked("schema", role.schema, role, "a database of its own")
    await _check_role(connection, role, role.name in users)


async def _check_role(connection: asyncpg.Connection, role: Role, uses_schema: bool) -> None:
    if (found := await connection.fetchrow(_ROLE, role.name)) is None:
        return
    owner = _owner(found["comment"])
    if owner not in (None, role.owner):
        raise _elsewhere("role", role.name, owner, role, "another name, or a Postgres of its own")
    if owner is None and not uses_schema:
        raise _unmarked("role", role.name, role, "another name, or a Postgres of its own")


async def check_moved(connection: asyncpg.Connection, role: Role) -> None:
    """Raise `LeftBehindError` when the schema of a service that has data is not here: it would begin anew, unnoticed.

    A copy will do, and so does this being the same database by another address, or an empty schema that is marked.
    """
    comment = await connection.fetchval(_COMMENT_ON_SCHEMA, role.schema)
    if _owner(comment) is None and not await connection.fetchval(_IS_MIGRATED, role.schema):
        begun = f'CREATE SCHEMA "{role.schema}"; COMMENT ON SCHEMA "{role.schema}" IS \'{_MARK}{role.owner}\''
        raise LeftBehindError(
            f"schema {role.schema} is not in this database, and {role.service} has its data in another: give back where"
            f" that is, or copy it here first; to begin with nothing, {begun}"
        )


async def mark_owner(connection: asyncpg.Connection, role: Role) -> None:
    """Write the owner down, in the caller's transaction; schema and role exist."""
    await mark_schema(connection, role)
    if role.owner is not None:
        await run_quoted(connection, "COMMENT ON ROLE %I IS %L", role.name, _MARK + role.owner)


async def mark_schema(connection: asyncpg.Connection, role: Role) -> None:
    """Write down whose the schema is, in the caller's transaction; it exists."""
    if role.owner is not None:
        await run_quoted(connection, "COMMENT ON SCHEMA %I IS %L", role.schema, _MARK + role.owner)


async def owned_schemas(connection: asyncpg.Connection, owner: str) -> list[str]:
    """Return the schemas of this database that are marked as the owner's."""
    return [row[0] for row in await connection.fetch(_SCHEMAS_OF, _MARK + owner)]


async def owned_roles(connection: asyncpg.Connection, owner: str) -> list[str]:
    """Return the roles that are marked as the owner's; those of other databases of this Postgres are among them."""
    return [row[0] for row in await connection.fetch(_ROLES_OF, _MARK + owner)]


def _owner(comment: str | None) -> str | None:
    return comment.removeprefix(_MARK) if comment and comment.startswith(_MARK) else None


def _unmarked(kind: str, name: str, role: Role, way: str) -> OwnedElsewhereError:
    return OwnedElsewhereError(
        f"{kind} {name} is there, and nothing says that it is of flow {role.owner}: give this flow {way}; "
        f"if it is meant for this flow, COMMENT ON {kind.upper()} \"{name}\" IS '{_MARK}{role.owner}' makes it so"
    )


def _elsewhere(kind: str, name: str, owner: str | None, role: Role, way: str) -> OwnedElsewhereError:
    return OwnedElsewhereError(
        f"{kind} {name} belongs to flow {owner}, not to {role.owner}: give this flow {way}; if that flow is no more, "
        f'COMMENT ON {kind.upper()} "{name}" IS NULL makes it free'
    )
