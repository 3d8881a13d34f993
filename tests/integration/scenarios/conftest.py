"""One running fleet a module: the provider and all five services, each a process of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.postgres import Postgres
from support.flow.fleet import Fleet
from support.flow.orders import Shop, open_fleet, shop_of, start_all

QUICK = {"retries": 2, "delay": "100ms", "maxDelay": "1s"}
"""Retries that a test can wait for."""


@pytest.fixture(scope="module")
def fleet(kafka: Kafka, postgres: Postgres, scratch: Path) -> Iterator[Fleet]:
    """The reference flow, running."""
    with open_fleet(kafka.bootstrap, postgres.admin_url, scratch, delivery=QUICK) as fleet:
        start_all(fleet)
        yield fleet


@pytest.fixture
async def shop(fleet: Fleet) -> AsyncIterator[Shop]:
    """A client of the fleet; the provider behaves again afterwards."""
    async with shop_of(fleet) as shop:
        yield shop
        await shop.provider()
