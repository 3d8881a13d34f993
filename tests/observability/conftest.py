"""The reference flow with a collector: every span of every order arrives in the test's own process, over real OTLP."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from orderflow_cli.kafka import Kafka
from orderflow_cli.postgres import Postgres
from support.fleet import Fleet
from support.orders import Shop, open_fleet, shop_of, start_all
from support.otlp import Received, grpc_collector

QUICK = {"retries": 2, "delay": "100ms", "maxDelay": "1s"}
"""Retries that a test can wait for."""


@pytest.fixture(scope="session")
def received() -> Received:
    """What the collector has seen."""
    return Received()


@pytest.fixture(scope="session")
def collector(received: Received) -> Iterator[str]:
    """A collector over gRPC: its endpoint."""
    with grpc_collector(received) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def fleet(kafka: Kafka, postgres: Postgres, scratch: Path, collector: str) -> Iterator[Fleet]:
    """The reference flow, running, all of it traced."""
    with open_fleet(
        kafka.bootstrap, postgres.admin_url, scratch, delivery=QUICK, tracing={"endpoint": collector}
    ) as fleet:
        start_all(fleet)
        yield fleet


@pytest.fixture
async def shop(fleet: Fleet) -> AsyncIterator[Shop]:
    """A client of the fleet; the provider behaves again afterwards."""
    async with shop_of(fleet) as shop:
        yield shop
        await shop.provider()
