"""One fleet a module for everything that only kills services; tests of broken servers bring their own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.postgres import Postgres
from support.flow.fleet import Fleet
from support.flow.orders import NO_RETRIES, Shop, open_fleet, shop_of, start_all


@pytest.fixture(scope="module")
def fleet(kafka: Kafka, postgres: Postgres, scratch: Path) -> Iterator[Fleet]:
    """The reference flow, running, as it is shipped."""
    with open_fleet(kafka.bootstrap, postgres.admin_url, scratch, delivery=NO_RETRIES) as fleet:
        start_all(fleet)
        yield fleet


@pytest.fixture
async def shop(fleet: Fleet) -> AsyncIterator[Shop]:
    """A client of the fleet."""
    async with shop_of(fleet) as shop:
        yield shop
