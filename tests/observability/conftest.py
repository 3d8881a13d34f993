"""The reference flow with a collector: every span of every order arrives in the test's own process, over real OTLP."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.postgres import Postgres
from support.flow.fleet import Fleet
from support.flow.orders import Shop, open_fleet, shop_flow, shop_of, start_all
from support.records.otlp import Received, grpc_collector

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


Again = Callable[..., Awaitable[None]]


@pytest.fixture
async def again(fleet: Fleet) -> AsyncIterator[Again]:
    """Start all services again as another form of the flow, by the wishes of `shop_flow`; afterwards as before."""
    before = fleet.flow

    async def run(**wishes: Any) -> None:
        fleet.flow = shop_flow(before.metadata.name, delivery=QUICK, **wishes)
        await _restart(fleet)

    yield run
    fleet.flow = before
    await _restart(fleet)


async def _restart(fleet: Fleet) -> None:
    for service in fleet.flow.spec.services:
        if f"{service.name}-0" in fleet.processes:
            await asyncio.to_thread(fleet.kill, f"{service.name}-0", signal.SIGTERM)
    await fleet.until_ready(*(fleet.start(service.name) for service in fleet.flow.spec.services))
