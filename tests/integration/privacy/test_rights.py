"""Who comes by people's keys in the database: readers by two functions, nobody by the tables."""

import uuid
from dataclasses import replace

import asyncpg
import pytest

from orderflow_model.postgres_uri import PostgresUri
from orderflow_runtime.postgres.migrator import Task, carry_out, migrate
from orderflow_runtime.postgres.ownership import Role
from orderflow_runtime.removal import remove
from support.flow.fleet import PASSWORD
from support.flow.orders import shop_flow

SEAL = "SELECT * FROM privacy.seal_keys($1, $2, $3, $4)"
PERSON = uuid.UUID(int=1)
GIVEN = (["o1"], [b"hash"], [PERSON], [b"wrapped"])


def task(flow: str, service: str, *, reader: bool) -> Task:
    """Give a service's migration."""
    return Task(Role(flow, service, PASSWORD, f"here/{flow}"), None, reads_people=reader)


async def as_service(uri: str, flow: str, service: str) -> asyncpg.Connection:
    """Connect as a service does."""
    return await asyncpg.connect(PostgresUri.parse(uri).for_role(f"{flow}_{service}", PASSWORD).render())


async def test_readers_ask_by_functions_and_nobody_sees_a_table(database: str, flow_name: str) -> None:
    """Who is no reader, or no more, is refused; a temporary table of a reader's own is not taken for ours."""
    tasks = [task(flow_name, "order", reader=True), task(flow_name, "stock", reader=False)]
    await carry_out(database, tasks)
    order, stock = await as_service(database, flow_name, "order"), await as_service(database, flow_name, "stock")
    try:
        await order.execute("CREATE TEMP TABLE keys (person uuid, subject bytea, wrapped bytea)")
        (made,) = await order.fetch(SEAL, *GIVEN)
        assert (made["number"], made["person"], made["wrapped"]) == (1, PERSON, b"wrapped")
        again = (GIVEN[0], GIVEN[1], [uuid.UUID(int=2)], [b"other"])
        assert [row["person"] for row in await order.fetch(SEAL, *again)] == [PERSON], "a person has one key"
        assert await order.fetch("SELECT * FROM keys") == []
        for table in ("keys", "records", "audit"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await order.fetch(f"SELECT * FROM privacy.{table}")  # noqa: S608 - one of three names
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await stock.fetch("SELECT * FROM privacy.open_keys($1)", [PERSON])
        await carry_out(database, [replace(one, reads_people=False) for one in tasks])
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await order.fetch(SEAL, *GIVEN)
    finally:
        await order.close()
        await stock.close()
    await remove(database, f"here/{flow_name}", [])


async def test_keys_stay_as_long_as_a_service_does(database: str, flow_name: str) -> None:
    """One service leaves the flow, and what is sealed still opens; the keys go with the last."""
    await carry_out(database, [task(flow_name, "order", reader=True), task(flow_name, "stock", reader=True)])
    assert "schema privacy" not in await remove(database, f"here/{flow_name}", ["order"])
    assert "schema privacy" in await remove(database, f"here/{flow_name}", [])


async def test_who_erases_waits_for_all_who_have_asked(database: str, flow_name: str) -> None:
    """The lock that the functions share is held to the end of the transaction, and taken alone by who erases."""
    await carry_out(database, [task(flow_name, "order", reader=True)])
    order, admin = await as_service(database, flow_name, "order"), await asyncpg.connect(database)
    alone = "SELECT pg_try_advisory_xact_lock(hashtext('orderflow privacy'))"
    try:
        async with order.transaction():
            await order.fetch("SELECT * FROM privacy.open_keys($1)", [PERSON])
            assert not await admin.fetchval(alone)
        assert await admin.fetchval(alone)
    finally:
        await order.close()
        await admin.close()
    await remove(database, f"here/{flow_name}", [])


_DEFINERS = """
SELECT n.nspname || '.' || p.proname AS name, p.proconfig
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE p.prosecdef AND n.nspname !~ '^(pg_|information_schema)'
"""


async def test_what_runs_with_its_owners_rights_looks_at_temporary_tables_last(database: str, flow_name: str) -> None:
    """In each schema of a flow: else who calls it puts a table of their own, with a trigger, before the owner's."""
    secret = {"secretKeyRef": {"name": "shop-privacy", "key": "secret"}}
    keeping = {"image": "orderflow/services:dev", "contracts": "orderflow_shop.events"}
    flow = shop_flow(flow_name, privacy={"secret": secret, "readers": ["order"]}, analytics=keeping)
    await migrate(database, flow, {service.name: PASSWORD for service in flow.services})
    admin = await asyncpg.connect(database)
    try:
        found = {row["name"]: row["proconfig"] or () for row in await admin.fetch(_DEFINERS)}
    finally:
        await admin.close()
    assert {"raw.add_days", "raw.drop_days", "privacy.open_keys", "privacy.seal_keys"} <= found.keys()
    paths = {name: [one for one in settings if one.startswith("search_path=")] for name, settings in found.items()}
    assert not [name for name, path in paths.items() if not path or not path[0].endswith(", pg_temp")]
    await remove(database, flow_name, [])


_READERS = """
SELECT r.rolname::text FROM pg_roles AS r
WHERE r.rolname LIKE $1 || '\\_%' AND has_schema_privilege(r.oid, 'raw', 'USAGE') AND (
  SELECT bool_or(has_table_privilege(r.oid, c.oid, $2))
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE n.nspname = 'raw' AND c.relname LIKE 'events%' AND c.relkind IN ('r', 'p'))
ORDER BY 1
"""


async def test_what_came_is_read_by_the_roles_that_the_zones_name(database: str, flow_name: str) -> None:
    """The sink writes raw.events, the lake reads them, no other service sees them; an analyst reads what is granted."""
    lake = {"url": "s3://lake/shop", "image": "orderflow/analytics:dev"}
    keeping = {"image": "orderflow/services:dev", "contracts": "orderflow_shop.events", "lake": lake}
    flow, analyst = shop_flow(flow_name, analytics=keeping), f"analyst{flow_name}"
    await migrate(database, flow, {service.name: PASSWORD for service in flow.services})
    admin = await asyncpg.connect(database)
    try:
        readers, writers = [
            [one[0] for one in await admin.fetch(_READERS, flow_name, may)] for may in ("SELECT", "INSERT")
        ]
        assert (readers, writers) == ([f"{flow_name}_lake", f"{flow_name}_raw"], [f"{flow_name}_raw"])
        await admin.execute(f"CREATE ROLE {analyst} LOGIN PASSWORD '{PASSWORD}'")
        await admin.execute(f"GRANT USAGE ON SCHEMA raw TO {analyst}; GRANT SELECT ON raw.events TO {analyst}")
        asking = await asyncpg.connect(PostgresUri.parse(database).for_role(analyst, PASSWORD).render())
        assert await asking.fetch("SELECT * FROM raw.events") == []
        for refused in ('SELECT 1 FROM "order".orders', "DELETE FROM raw.events", "SELECT 1 FROM raw.dead_letters"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await asking.execute(refused)
        await asking.close()
        await admin.execute(f"DROP OWNED BY {analyst}; DROP ROLE {analyst}")
    finally:
        await admin.close()
    await remove(database, flow_name, [])
