"""What `deletionPolicy: Delete` drops of a database: all that is marked as the flow's, and nothing of anybody else."""

import asyncio
import json
import os
import subprocess
import sys

import asyncpg
import pytest

from orderflow_cli.servers.postgres import Postgres, create_database, drop_database
from orderflow_model import environment
from orderflow_model.postgres_uri import PostgresUri
from orderflow_runtime.postgres.migration_failures import StillUsedError
from orderflow_runtime.postgres.migrator import Task, carry_out
from orderflow_runtime.postgres.ownership import Role
from orderflow_runtime.removal import remove
from support.flow.fleet import PASSWORD
from support.tools.names import unique_name


def task(flow: str, service: str, namespace: str = "here") -> Task:
    """Give a service's migration, as a cluster's."""
    return Task(Role(flow, service, PASSWORD, f"{namespace}/{flow}"), None)


async def there(uri: str, flow: str) -> set[str]:
    """Give the schemas of services and the flow's roles that are there."""
    connection = await asyncpg.connect(uri)
    schemas = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_|public)'"
    roles = "SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1)"
    found = {*await connection.fetch(schemas), *await connection.fetch(roles, f"{flow}_")}
    await connection.close()
    return {row[0] for row in found}


async def execute(uri: str, *statements: str) -> None:
    """Run statements as the administrator."""
    connection = await asyncpg.connect(uri)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def test_what_is_marked_goes_and_nothing_else(database: str, flow_name: str) -> None:
    """Schemas, rows and roles of the flow are gone; another flow's, an unmarked schema and role stay."""
    other = unique_name("other")
    await carry_out(database, [task(flow_name, "order"), task(flow_name, "stock"), task(other, "billing")])
    await execute(database, "CREATE SCHEMA legacy", f'CREATE ROLE "{flow_name}_legacy"')
    dropped = await remove(database, f"here/{flow_name}", [])
    assert set(dropped) == {f"role {flow_name}_order", f"role {flow_name}_stock", "schema order", "schema stock"}
    assert await there(database, flow_name) == {"billing", "legacy", f"{flow_name}_legacy"}
    assert await there(database, other) >= {"billing", f"{other}_billing"}
    assert await remove(database, f"here/{flow_name}", []) == []
    await execute(database, f'DROP ROLE "{flow_name}_legacy"')
    await remove(database, f"here/{other}", [])


async def test_a_flow_of_the_same_name_elsewhere_is_another(database: str, flow_name: str) -> None:
    """The namespace is part of the mark."""
    await carry_out(database, [task(flow_name, "order")])
    assert await remove(database, f"there/{flow_name}", []) == []
    assert await there(database, flow_name) == {"order", f"{flow_name}_order"}
    await remove(database, f"here/{flow_name}", [])


async def test_services_that_are_kept_are_kept(database: str, flow_name: str) -> None:
    """One service leaves the flow: the others' rows and roles stay, also that of a name which begins alike."""
    await carry_out(database, [task(flow_name, "order"), task(flow_name, "order-archive")])
    dropped = await remove(database, f"here/{flow_name}", ["order"])
    assert len(dropped) == 2
    assert await there(database, flow_name) == {"order", f"{flow_name}_order"}
    await remove(database, f"here/{flow_name}", [])


async def test_what_others_have_made_on_it_is_left_and_told(database: str, flow_name: str) -> None:
    """A view on a schema's table and a table that the role was given stay with what they need; the rest goes."""
    await carry_out(database, [task(flow_name, "order"), task(flow_name, "stock"), task(flow_name, "ship")])
    await execute(
        database,
        "CREATE SCHEMA reporting",
        'CREATE VIEW reporting.letters AS SELECT * FROM "order".dead_letters',
        "CREATE TABLE reporting.gift ()",
        f'ALTER TABLE reporting.gift OWNER TO "{flow_name}_ship"',
    )
    with pytest.raises(StillUsedError, match=r"schema order is left: reporting\.letters .*role .*_ship is left.*gift"):
        await remove(database, f"here/{flow_name}", [])
    left = await there(database, flow_name)
    assert {"order", "reporting", f"{flow_name}_ship"} <= left
    assert not left & {"stock", "ship", f"{flow_name}_stock"}
    await execute(database, "DROP SCHEMA reporting CASCADE")
    await remove(database, f"here/{flow_name}", [])
    assert not await there(database, flow_name)


async def test_a_role_that_another_database_knows_says_where(postgres: Postgres, database: str, flow_name: str) -> None:
    """The flow's database moved: the role has rights in the former one, which is named."""
    former = unique_name("former")
    await create_database(postgres.admin_url(), former)
    try:
        for uri in (postgres.admin_url(former), database):
            await carry_out(uri, [task(flow_name, "order")])
        with pytest.raises(StillUsedError, match=f"role {flow_name}_order is left.*database {former}"):
            await remove(database, f"here/{flow_name}", [])
        await remove(postgres.admin_url(former), f"here/{flow_name}", [])
        assert f"{flow_name}_order" not in await there(database, flow_name)
    finally:
        await drop_database(postgres.admin_url(), former)


async def test_an_admin_who_is_no_superuser_can_remove_what_it_made(postgres: Postgres, flow_name: str) -> None:
    """The admin of a hosted Postgres may make roles and owns its database, and no more."""
    admin, name = f"{flow_name}_admin", unique_name("db")
    await execute(postgres.admin_url(), f"CREATE ROLE \"{admin}\" LOGIN CREATEROLE PASSWORD '{PASSWORD}'")
    await create_database(postgres.admin_url(), name)
    await execute(postgres.admin_url(), f'ALTER DATABASE "{name}" OWNER TO "{admin}"')
    try:
        uri = PostgresUri.parse(postgres.admin_url(name)).for_role(admin, PASSWORD).render()
        await carry_out(uri, [task(flow_name, "order")])
        assert len(await remove(uri, f"here/{flow_name}", [])) == 2
    finally:
        await drop_database(postgres.admin_url(), name)
        await execute(postgres.admin_url(), f'DROP ROLE "{admin}"')


async def test_a_schema_in_use_is_waited_for_and_then_left(database: str, flow_name: str) -> None:
    """A transaction that ends soon is waited for."""
    await carry_out(database, [task(flow_name, "order")])
    session = await asyncpg.connect(database)
    transaction = session.transaction()
    await transaction.start()
    await session.execute('SELECT * FROM "order".dead_letters')
    removing = asyncio.create_task(remove(database, f"here/{flow_name}", []))
    await asyncio.sleep(1)
    assert not removing.done()
    await transaction.rollback()
    assert len(await removing) == 2
    await session.close()


@pytest.mark.parametrize(
    ("uri", "code", "words"),
    [
        ("postgresql://a:pw@127.0.0.1:1/db", 1, "127.0.0.1:1"),
        ("nonsense", 78, environment.DATABASE_URL),
    ],
    ids=["away", "no URI"],
)
def test_a_job_that_cannot_says_so_in_one_line(uri: str, code: int, words: str) -> None:
    """The pod's last words name what is wrong, and no password."""
    given = {environment.DATABASE_URL: uri, environment.REMOVAL: json.dumps({"owner": "here/f", "keep": []})}
    command = [sys.executable, "-m", "orderflow_runtime.removal"]
    ended = subprocess.run(command, env=os.environ | given, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == code
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("removal failed: ")
    assert words in last
    assert "pw" not in ended.stderr
