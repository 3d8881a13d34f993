"""A RabbitMQ, and a bench of a test's own."""

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from support.flow.order_desk_server import serving_desk
from support.flow.queue_bench import Bench
from support.tools.rabbitmq import RabbitMQ


@pytest.fixture(scope="session")
def rabbitmq(scratch: Path) -> Iterator[RabbitMQ]:
    """The session's broker; a test may kill and start it."""
    server = RabbitMQ(scratch / "rabbitmq")
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def bench(rabbitmq: RabbitMQ, tmp_path: Path) -> AsyncIterator[Bench]:
    """A queue and a desk of their own; the source is started by the test."""
    async with serving_desk() as server:
        bench = Bench(rabbitmq, server, tmp_path)
        await bench.publish()
        yield bench
        if bench.source is not None:
            bench.source.send_signal(signal.SIGTERM)
            bench.source.wait(15)
