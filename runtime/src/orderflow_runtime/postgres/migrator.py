"""Makes the schemas, roles and tables of a flow's services. Run with the admin's URI, by `orderflow run` as a step and
in the cluster as a Job; services hold only their own role's.

Migrations are plain SQL files `NNNN_name.sql`, applied once each, in order, in one transaction per service with
`search_path` set to its schema and `orderflow.role` to its role's name. An applied file must not change. Before
anything is changed it is known that every schema and role is the flow's own, and where each service's files are.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from orderflow_model.flow import OrderFlow
from orderflow_model.postgres_uri import PostgresUri
from orderflow_model.spec.privacy import PRIVACY
from orderflow_runtime.postgres.connecting import connect
from orderflow_runtime.postgres.grants import grant, grant_console, grant_keys, revoke_keys
from orderflow_runtime.postgres.migration_failures import MigrationChangedError, MigrationRefusedError
from orderflow_runtime.postgres.migration_folder import migration_folder
from orderflow_runtime.postgres.ownership import Role, check_moved, check_owner, mark_owner, mark_schema, owned_schemas
from orderflow_runtime.postgres.pooling import check_session
from orderflow_runtime.postgres.quoting import run_quoted

_RUNTIME = Path(__file__).parent / "migrations"
_PRIVACY = Path(__file__).parent / "privacy"
_LOCK = 0x0F10


@dataclass(frozen=True)
class Task:
    """A service's schema to bring up to date; `folder` holds its own files, beside the runtime's.

    `moved`: its data was made in another database, and has to be here already.
    """

    role: Role
    folder: Path | None
    moved: bool = False
    reads_people: bool = False
    """It may ask for people's keys, which are then there."""
    console: str | None = None
    """The program of the flow, this or another, that may read what services have stored; None where there is none."""


async def migrate(admin_uri: str, flow: OrderFlow, passwords: Mapping[str, str]) -> None:
    """Bring the schemas of a flow on this machine up to date; `passwords` are by service name.

    Safe to run again and side by side. Raise `MigrationFailedError`, `CannotConnectError` and `InvalidUriError`.
    """
    name = flow.metadata.name
    tasks = [
        Task(
            Role(name, service.name, passwords[service.name], owner=name),
            migration_folder(service.name, service.command, service.migrations),
            reads_people=flow.spec.privacy is not None and service.name in flow.spec.privacy.readers,
        )
        for service in flow.services
    ]
    await carry_out(admin_uri, tasks)


async def carry_out(admin_uri: str, tasks: Sequence[Task]) -> None:
    """Do the tasks one after the other, each whole or not at all; none when one of them is refused."""
    async with _admin(PostgresUri.parse(admin_uri)) as connection:
        for task in tasks:
            await check_owner(connection, task.role)
            if task.moved:
                await check_moved(connection, task.role)
        for task in tasks:
            await migrate_service(connection, task)


async def migrate_schema(uri: PostgresUri, schema: str, folder: Path) -> None:
    """Bring a schema that belongs to no service up to date, made where it is not there, by the files of a folder."""
    connection = await connect(uri)
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await _open_schema(connection, schema)
            await _apply(connection, schema, folder)
    finally:
        await connection.close()


@asynccontextmanager
async def _admin(uri: PostgresUri) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection; a pooler that a service could not use is refused here, before there is a service."""
    connection = await connect(uri)
    try:
        second = await connect(uri)
        try:
            await check_session(connection, second)
        finally:
            await second.close()
        yield connection
    finally:
        await connection.close()


async def migrate_service(connection: asyncpg.Connection, task: Task) -> None:
    """Bring one service's schema up to date, in one transaction."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await check_owner(connection, task.role)
        await _prepare(connection, task.role)
        await _apply(connection, "runtime", _RUNTIME)
        if task.folder is not None:
            await _apply(connection, "service", task.folder)
        await grant(connection, task.role)
        if task.reads_people:
            await _keep_keys(connection, task.role)
        else:
            await revoke_keys(connection, task.role)
        if task.console is not None:
            await _let_console_in(connection, task.role, task.console)


async def _let_console_in(connection: asyncpg.Connection, role: Role, console: str) -> None:
    """Let the flow's console read what the read model asks: of a service, or by its own task of all that are there.

    So whichever task comes last, the rights are there: a service's finds the role, or the console's finds the schema.
    """
    reader = Role(role.flow, console, "", role.owner)
    schemas = [role.schema]
    if role.service == console and role.owner is not None:
        schemas = await owned_schemas(connection, role.owner)
    elif not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", reader.name):
        return
    for schema in schemas:
        if schema != reader.schema:
            await grant_console(connection, schema, reader.name)


async def _keep_keys(connection: asyncpg.Connection, reader: Role) -> None:
    """Make the schema of the people's keys, which is the flow's as those of its services, and let a service ask."""
    home = Role(reader.flow, PRIVACY, "", reader.owner)
    await check_owner(connection, home)
    await _open_schema(connection, home.schema)
    await mark_schema(connection, home)
    await _apply(connection, PRIVACY, _PRIVACY)
    await grant_keys(connection, reader)


async def _prepare(connection: asyncpg.Connection, role: Role) -> None:
    exists = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role.name)
    verb = "ALTER" if exists else "CREATE"
    await run_quoted(connection, f"{verb} ROLE %I LOGIN PASSWORD %L", role.name, role.password)
    await _open_schema(connection, role.schema)
    await mark_owner(connection, role)
    await run_quoted(connection, "SET LOCAL orderflow.role = %L", role.name)


async def _open_schema(connection: asyncpg.Connection, schema: str) -> None:
    """Make the schema and its table of versions where they are not there, and work in it for this transaction."""
    if not await connection.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", schema):
        await run_quoted(connection, "CREATE SCHEMA %I", schema)
    await run_quoted(connection, "SET LOCAL search_path = %I", schema)
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_version (component text, file text, checksum text NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (component, file))"
    )


async def _apply(connection: asyncpg.Connection, component: str, folder: Path) -> None:
    rows = await connection.fetch("SELECT file, checksum FROM schema_version WHERE component = $1", component)
    applied = {row["file"]: row["checksum"] for row in rows}
    for path, text in _files(folder):
        checksum = hashlib.sha256(text.encode()).hexdigest()
        if applied.get(path.name, checksum) != checksum:
            raise MigrationChangedError(
                f"{path} was applied with other content: put it back, and write a new file for the change"
            )
        if path.name not in applied:
            await _execute(connection, path, text)
            await connection.execute(
                "INSERT INTO schema_version (component, file, checksum) VALUES ($1, $2, $3)",
                *(component, path.name, checksum),
            )


async def _execute(connection: asyncpg.Connection, path: Path, text: str) -> None:
    try:
        await connection.execute(text)
    except asyncpg.PostgresError as error:
        at = getattr(error, "position", None)
        line = f", line {text.count(chr(10), 0, int(at) - 1) + 1}" if at else ""
        raise MigrationRefusedError(f"{path}{line}: {str(error).partition(chr(10))[0]}") from error


def _files(folder: Path) -> list[tuple[Path, str]]:
    return [(path, _read(path)) for path in sorted(folder.glob("[0-9]*.sql"))]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise MigrationRefusedError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise MigrationRefusedError(f"{path}, line {line}: it is not UTF-8") from None
