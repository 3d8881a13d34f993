"""A transaction for handlers on a plain connection, for tests that need a service's SQL but not the runtime."""

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg

from orderflow_contracts.event import Event
from orderflow_runtime.service import Received


class Batch:
    """What the runtime's transaction offers, on one connection; calls are kept to be looked at."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self.calls: list[tuple[str, str, Mapping[str, Any], str]] = []

    async def fetch(self, query: str, *args: object) -> Sequence[Mapping[str, Any]]:
        """Run a query."""
        rows: list[asyncpg.Record] = await self._connection.fetch(query, *args)
        return rows

    async def execute(self, query: str, *args: object) -> None:
        """Run a statement."""
        await self._connection.execute(query, *args)

    async def copy(self, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
        """Add rows to a table."""
        await self._connection.copy_records_to_table(table, records=rows, columns=columns)

    def set_timer(self, name: str, key: str, after: timedelta, payload: Mapping[str, Any] | None = None) -> None:
        """Refuse: these handlers have no timers."""
        raise NotImplementedError

    def cancel_timer(self, name: str, key: str) -> None:
        """Refuse: these handlers have no timers."""
        raise NotImplementedError

    def call(self, kind: str, key: str, request: Mapping[str, Any], idempotency_key: str) -> None:
        """Keep the call, its request as JSON gives it back."""
        self.calls.append((kind, key, json.loads(json.dumps(request)), idempotency_key))


def received(event: Event) -> Received[Any]:
    """Make an event as a handler sees it."""
    return Received(event, str(uuid.uuid4()), datetime.now(UTC))


async def handle(connection: asyncpg.Connection, handlers: Mapping[type[Event], Any], *events: Event) -> list[Event]:
    """Handle events of one type in a transaction of their own."""
    async with connection.transaction():
        handler = handlers[type(events[0])]
        return list(await handler([received(event) for event in events], Batch(connection)))


async def make_schema(database: str, service: str) -> None:
    """Run the runtime's migrations and a service's in a schema of its name."""
    folders = [_migrations("orderflow_runtime.postgres"), _migrations(f"orderflow_{service}")]
    connection = await connect(database, "public")
    await connection.execute(f'CREATE SCHEMA "{service}"; SET search_path = "{service}"')
    for migration in (path for folder in folders for path in sorted(folder.glob("*.sql"))):
        await connection.execute(migration.read_text())
    await connection.close()


def _migrations(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "migrations"


async def connect(database: str, schema: str) -> asyncpg.Connection:
    """Open a connection as the service has it."""
    return await asyncpg.connect(database, server_settings={"search_path": schema})
