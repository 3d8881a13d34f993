"""Makes the schemas, roles and tables of a flow's services. Run with the admin secret, by `orderflow run` as a step and
in the cluster as a Job; services hold only their own role's secret.

Migrations are plain SQL files `NNNN_name.sql`, applied once each, in order, in one transaction per service with
`search_path` set to its schema. An applied file must not change.
"""

import hashlib
import importlib.util
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from orderflow_model.flow import OrderFlow
from orderflow_model.names import role_name, schema_name

logger = logging.getLogger(__name__)

_RUNTIME = Path(__file__).parent / "migrations"
_LOCK = 0x0F10


class MigrationChanged(Exception):  # noqa: N818  (it says what happened to the file)
    """A file that was applied has other content now: put it back, and write a new one for the change."""


async def migrate(admin_dsn: str, flow: OrderFlow, passwords: Mapping[str, str]) -> None:
    """Bring every service's schema up to date; `passwords` are by service name. Safe to run again and side by side."""
    connection = await asyncpg.connect(admin_dsn)
    try:
        for service in flow.spec.services:
            role = Role(flow.metadata.name, service.name, passwords[service.name])
            await migrate_service(connection, role, service.command)
    finally:
        await connection.close()


@dataclass(frozen=True)
class Role:
    """A service of a flow, and the password of its database role."""

    flow: str
    service: str
    password: str = field(repr=False)


async def migrate_service(connection: asyncpg.Connection, role: Role, command: Iterable[str]) -> None:
    """Bring one service's schema up to date, in one transaction; `command` is how the service is started."""
    folder = service_migrations(command)
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await _prepare(connection, role.flow, role.service, role.password)
        await _apply(connection, "runtime", _RUNTIME)
        if folder is not None:
            await _apply(connection, "service", folder)
        await _grant(connection, role.flow, role.service)


def service_migrations(command: Iterable[str]) -> Path | None:
    """Give the `migrations` folder beside the module that `python -m MODULE` runs; None where there is none."""
    words = list(command)
    module = words[words.index("-m") + 1] if "-m" in words[:-1] else None
    spec = importlib.util.find_spec(module) if module else None
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "migrations"
    return folder if folder.is_dir() else None


async def _prepare(connection: asyncpg.Connection, flow: str, service: str, password: str) -> None:
    schema, role = schema_name(service), role_name(flow, service)
    exists = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
    verb = "ALTER" if exists else "CREATE"
    await _run(connection, f"{verb} ROLE %I LOGIN PASSWORD %L", role, password)
    await _run(connection, "CREATE SCHEMA IF NOT EXISTS %I", schema)
    await _run(connection, "GRANT USAGE ON SCHEMA %I TO %I", schema, role)
    await _run(connection, "SET LOCAL search_path = %I", schema)
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
            raise MigrationChanged(f"{path.name} of {component} was applied with other content")
        if path.name not in applied:
            await connection.execute(text)
            await connection.execute(
                "INSERT INTO schema_version (component, file, checksum) VALUES ($1, $2, $3)",
                *(component, path.name, checksum),
            )


def _files(folder: Path) -> list[tuple[Path, str]]:
    return [(path, path.read_text()) for path in sorted(folder.glob("[0-9]*.sql"))]


async def _grant(connection: asyncpg.Connection, flow: str, service: str) -> None:
    """Rows, not tables: a service reads and writes its own, and alters nothing."""
    schema, role = schema_name(service), role_name(flow, service)
    await _run(connection, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO %I", schema, role)
    await _run(connection, "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %I TO %I", schema, role)
    await _run(connection, "REVOKE ALL ON schema_version FROM %I", role)


async def _run(connection: asyncpg.Connection, template: str, *names: str) -> None:
    """Run a statement with its identifiers (%I) and literals (%L) quoted by Postgres."""
    holes = ", ".join(f"${number}::text" for number in range(2, len(names) + 2))
    await connection.execute(await connection.fetchval(f"SELECT format($1, {holes})", template, *names))
