"""While a new version starts, pods of the version before go on with the tables that the new one has migrated.

So no migration takes anything away that was there before it, nor asks for more: compared by Postgres' own catalogue,
before and after each file. What nothing uses then goes in a later version by a file that begins with `-- contract`.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

import orderflow_inventory
import orderflow_notification
import orderflow_order
import orderflow_payment
import orderflow_runtime
import orderflow_shipping

RUNTIME = Path(str(orderflow_runtime.__file__)).parent / "postgres" / "migrations"
SERVICES = (orderflow_inventory, orderflow_notification, orderflow_order, orderflow_payment, orderflow_shipping)
FOLDERS = [Path(str(service.__file__)).parent / "migrations" for service in SERVICES]

CALLED_BY_NO_VERSION = {"rotate_inbox_days(keep_days integer) void"}
"""What only functions of the database called, which were made anew with it."""

_OFFERED = """
SELECT c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
  AND a.attnum > 0 AND NOT a.attisdropped
UNION
SELECT proname || '(' || pg_get_function_identity_arguments(oid) || ') ' || pg_get_function_result(oid)
FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND prorettype <> 'trigger'::regtype
"""
_ASKED = """
SELECT c.relname AS relation, c.relname || '.' || a.attname AS column
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''
"""
"""Columns that every INSERT has to give."""


@dataclass(frozen=True)
class Schema:
    """What a version finds: columns and functions with their types, and by table the columns that it has to fill."""

    offered: frozenset[str]
    asked: frozenset[tuple[str, str]]

    def breaks(self, before: "Schema") -> list[str]:
        """Tell what a version that was written for `before` would miss, or does not know to give."""
        tables = {relation for relation, _ in before.asked} | {one.partition(".")[0] for one in before.offered}
        missing = before.offered - self.offered - CALLED_BY_NO_VERSION
        asked = {column for table, column in self.asked - before.asked if table in tables}
        return [f"{one} is gone" for one in sorted(missing)] + [f"{one} has to be given" for one in sorted(asked)]


@pytest.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection]:
    """An empty schema."""
    connection = await asyncpg.connect(database, server_settings={"search_path": "svc"})
    await connection.execute("CREATE SCHEMA svc")
    yield connection
    await connection.close()


async def seen(connection: asyncpg.Connection) -> Schema:
    """Look at the schema."""
    offered = [row[0] for row in await connection.fetch(_OFFERED)]
    return Schema(frozenset(offered), frozenset(map(tuple, await connection.fetch(_ASKED))))


def files(folder: Path) -> dict[str, str]:
    """Give a folder's migrations by name, in order."""
    return {path.name: path.read_text() for path in sorted(folder.glob("*.sql"))}


async def broken_by(connection: asyncpg.Connection, migrations: dict[str, str]) -> list[str]:
    """Apply files; give what each breaks for who knows only those before it."""
    found: list[str] = []
    for name, text in migrations.items():
        before = await seen(connection)
        await connection.execute(text)
        if not text.startswith("-- contract"):
            found += [f"{name}: {what}" for what in (await seen(connection)).breaks(before)]
    return found


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
async def test_the_version_before_goes_on_during_an_upgrade(connection: asyncpg.Connection, folder: Path) -> None:
    """No file of the runtime or of a service takes away, renames, retypes or demands."""
    assert await broken_by(connection, files(RUNTIME)) == []
    assert await broken_by(connection, files(folder)) == []


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DROP TABLE t", "t.a integer is gone"),
        ("ALTER TABLE t RENAME TO u", "t.a integer is gone"),
        ("ALTER TABLE t DROP COLUMN b", "t.b text is gone"),
        ("ALTER TABLE t RENAME COLUMN b TO c", "t.b text is gone"),
        ("ALTER TABLE t ALTER COLUMN a TYPE bigint", "t.a integer is gone"),
        ("ALTER TABLE t ADD COLUMN c int NOT NULL", "t.c has to be given"),
        ("ALTER TABLE t ALTER COLUMN b SET NOT NULL", "t.b has to be given"),
        ("ALTER TABLE t ALTER COLUMN d DROP DEFAULT", "t.d has to be given"),
        ("DROP FUNCTION f(int)", "f(x integer) integer is gone"),
        (
            "DROP FUNCTION f(int); CREATE FUNCTION f(x int, y int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "f(x integer)",
        ),
        ("ALTER TABLE t ADD COLUMN c int NOT NULL DEFAULT 1; CREATE TABLE u (a int NOT NULL)", None),
        ("-- contract: nothing reads it\nDROP TABLE t", None),
    ],
)
async def test_what_would_break_the_version_before_is_seen(
    connection: asyncpg.Connection, statement: str, told: str | None
) -> None:
    """Each way to break it is told with its file; what only adds is let be."""
    table = "CREATE TABLE t (a int, b text, d int NOT NULL DEFAULT 0);"
    function = "CREATE FUNCTION f(x int) RETURNS int LANGUAGE sql AS 'SELECT 1'"
    found = await broken_by(connection, {"0001": table + function, "0002": statement})
    assert any(f"0002: {told}" in one for one in found) if told else found == []
