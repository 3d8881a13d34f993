"""The console's trail on a real Postgres: one chain whoever writes at once, and nothing in it is changed unseen."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from orderflow_console.actions import audit
from orderflow_console.actions.own_tables import LAPTOP_SCHEMA, OwnTables
from orderflow_console.actions.trail import Trail
from orderflow_model.postgres_uri import PostgresUri

PERSONAL = "ada@example.com"


@pytest.fixture
async def tables(database: str) -> AsyncIterator[OwnTables]:
    """The console's tables in an empty database."""
    tables = OwnTables(PostgresUri.parse(database))
    async with tables.connection():
        yield tables
    tables.close()


async def test_who_did_what_is_kept_and_a_change_is_found(database: str, tables: OwnTables) -> None:
    """Ten at once make one chain, without what a form said; no statement changes it, and what does by force is seen."""
    trail = Trail(tables)
    await asyncio.gather(
        *(trail.note("ada (u1)", "operator", f"/orders/{n}/cancel", {"why": PERSONAL}) for n in range(10))
    )
    connection = await asyncpg.connect(database)
    try:
        entries = await audit.entries(connection, LAPTOP_SCHEMA)
        assert audit.verify(entries).faults == []
        assert sorted(entry["subject"] for entry in entries) == [f"/orders/{n}/cancel" for n in range(10)]
        assert PERSONAL not in str(entries)
        for statement in ("UPDATE {}.audit SET who = 'x'", "DELETE FROM {}.audit", "TRUNCATE {}.audit"):
            with pytest.raises(asyncpg.PostgresError, match="neither changed nor deleted"):
                await connection.execute(statement.format(f'"{LAPTOP_SCHEMA}"'))
        await connection.execute(f'ALTER TABLE "{LAPTOP_SCHEMA}".audit DISABLE TRIGGER keep_audit')
        await connection.execute(f"""UPDATE "{LAPTOP_SCHEMA}".audit SET who = 'eve' WHERE number = 3""")  # noqa: S608 - fixed names
        assert audit.verify(await audit.entries(connection, LAPTOP_SCHEMA)).faults == ["entry 3 was changed"]
    finally:
        await connection.close()
