"""The reference flow with its personal data sealed and its events kept in Postgres, running."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.postgres import Postgres
from orderflow_model import environment
from support.flow.fleet import Fleet
from support.flow.orders import Shop, open_fleet, shop_of, start_all
from support.flow.people import KEEPING, PRIVACY, SECRET


@pytest.fixture(scope="module")
def fleet(kafka: Kafka, postgres: Postgres, scratch: Path) -> Iterator[Fleet]:
    """The flow, all of its services started."""
    with open_fleet(kafka.bootstrap, postgres.admin_url, scratch, privacy=PRIVACY, analytics=KEEPING) as fleet:
        fleet.extra_env[environment.PRIVACY_KEY] = SECRET
        start_all(fleet)
        yield fleet


@pytest.fixture
async def shop(fleet: Fleet) -> AsyncIterator[Shop]:
    """A client of the flow."""
    async with shop_of(fleet) as shop:
        yield shop
