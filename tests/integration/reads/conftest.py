"""The reference flow's schemas in a database of their own, for tests that fill them and ask by the read model."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from orderflow_cli.servers.postgres import Postgres, create_database, drop_database
from orderflow_console.queries.database import Database, open_database
from orderflow_model.postgres_uri import PostgresUri
from orderflow_runtime.postgres.migrator import migrate
from support.flow.fleet import PASSWORD
from support.flow.orders import shop_flow
from support.tools.names import unique_name


@pytest.fixture
async def shop_database(postgres: Postgres, flow_name: str) -> AsyncIterator[str]:
    """The superuser's URL of a database with the schemas of all services, empty."""
    name = unique_name("db")
    await create_database(postgres.admin_url(), name)
    flow = shop_flow(flow_name)
    await migrate(postgres.admin_url(name), flow, {service.name: PASSWORD for service in flow.services})
    yield postgres.admin_url(name)
    await drop_database(postgres.admin_url(), name)


@pytest.fixture
async def admin(shop_database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that writes what services would have written."""
    connection = await asyncpg.connect(shop_database)
    yield connection
    await connection.close()


@pytest.fixture
async def reads(shop_database: str) -> AsyncIterator[Database]:
    """What questions are asked of."""
    database = await open_database(PostgresUri.parse(shop_database))
    yield database
    await database.close()
