"""The Kafkas beside the one that all other tests use: the oldest that Strimzi 1.2 takes, and the newest there is."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orderflow_cli.servers.kafka import Kafka
from support.flow.fleet import until
from support.runtime.real import Site, sample_flow
from support.runtime.sample_service import Put
from support.tools.scratch import scratch_directory
from support.tools.servers import kafka_program

OTHERS = ("4.2.0", "4.4.0")


@pytest.fixture(params=OTHERS)
async def site(request: pytest.FixtureRequest, database: str, flow_name: str) -> AsyncIterator[Site]:
    """A flow's topics on a broker of another version, and nothing running."""
    with scratch_directory() as folder:
        broker = Kafka(folder / "kafka", kafka_program(request.param))
        broker.start()
        (home := Path(folder) / flow_name).mkdir()
        site = Site(sample_flow(flow_name), broker.bootstrap, database, home)
        await site.fleet.prepare()
        yield site
        await site.close()
        broker.stop()


async def test_events_are_handled_once_and_in_order_across_a_takeover(site: Site) -> None:
    """Topics are made, partitions change hands, results stand in order by key, and the group's offsets follow."""
    await site.send(*(Put(thing=f"k{n % 3}", n=n) for n in range(30)))
    async with site.running(crash=True):
        await site.until_effects(30)
    await site.send(*(Put(thing=f"k{n % 3}", n=n) for n in range(30, 60)))
    async with site.running() as process:
        results = await site.until_results(60)
        await until(lambda: process._worker.ready, "it is ready to the end")
    assert len(await site.effects()) == 60
    for key in range(3):
        assert [n for of, n in results if of == f"k{key}"] == list(range(key, 60, 3))
