"""A service that Kafka or Postgres does not let in says so, and ends when that lasts: a new start reads its Secrets."""

import asyncio
from collections.abc import Sequence

import pytest

from orderflow_runtime.core.event_log import LogRefuses, LogUnavailable, Message, Partition, pack
from orderflow_runtime.core.store import OutboxRow, StoreRefuses
from orderflow_runtime.dispatch import publications
from orderflow_runtime.dispatch.outbox_relay import Relay
from orderflow_runtime.testing.memory_log import MemoryLog
from orderflow_runtime.worker import worker
from support.runtime.running import Bench
from support.runtime.sample_service import Put

REFUSALS = [
    pytest.param("start", LogRefuses("Kafka at k:9092: authentication failed"), id="Kafka"),
    pytest.param("acquire", StoreRefuses("Postgres at db refuses the user or the password"), id="Postgres"),
]


def ever(error: Exception) -> Sequence[Exception]:
    """Give an error for each time that somebody tries."""
    return [error] * 1000


@pytest.mark.parametrize(("point", "error"), REFUSALS)
async def test_who_is_not_let_in_for_long_ends_with_the_reason(
    point: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process hands its reason on, which becomes the pod's last words."""
    monkeypatch.setattr(worker, "PATIENCE_SECONDS", 0.3)
    bench = Bench()
    bench.faults.add(point, *ever(error))
    running = asyncio.create_task(bench.instance().worker.run(asyncio.Event()))
    with pytest.raises(type(error), match=str(error)):
        await asyncio.wait_for(running, 20)


@pytest.mark.parametrize(("point", "error"), REFUSALS)
async def test_a_refusal_that_passes_is_told_and_borne(point: str, error: Exception) -> None:
    """Readiness names it meanwhile, and the work goes on by itself."""
    bench = Bench()
    bench.faults.add(point, *[error] * 3)
    async with bench.running() as instance:
        await bench.until(lambda: str(error) in instance.worker.obstacle, "it is told")
        await bench.until(lambda: instance.worker.ready, "it is ready")


async def test_a_kafka_that_is_only_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new start would find it away too."""
    monkeypatch.setattr(worker, "PATIENCE_SECONDS", 0.1)
    bench = Bench()
    bench.faults.add("start", *[LogUnavailable("away")] * 4)
    async with bench.running() as instance:
        await bench.until(lambda: instance.worker.ready, "it is ready")


async def test_who_may_not_publish_is_not_ready() -> None:
    """What is read still waits to be told on: nothing of the work is done."""
    bench = Bench()
    bench.faults.add("publish", *[LogRefuses("Kafka at k:9092: authentication failed")] * 4)
    async with bench.running() as instance:
        bench.send(Put(thing="k", n=1))
        await bench.until(lambda: "authentication failed" in instance.worker.obstacle, "it is told")
        await bench.until(lambda: instance.worker.ready, "it goes on")


async def test_a_service_that_only_publishes_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """It joins no group that would refuse it: what it has to publish is what tells."""
    monkeypatch.setattr(publications, "PATIENCE_SECONDS", 0.1)
    bench = Bench()
    bench.faults.add("publish", *ever(LogRefuses("Kafka at k:9092: authentication failed")))
    publishing = bench.publications(MemoryLog(bench.cluster, "g", (), bench.faults))
    relay = Relay(publishing, bench.store, lambda: [Partition("first", 0)])
    row = OutboxRow(1, pack([Message(bench.config.publishes[0].topic, b"k", [], b"x")]), Partition("first", 0))
    under_way = asyncio.create_task(publishing.publish([row]))
    relay.check()
    await bench.until(lambda: "authentication failed" in relay.obstacle, "it is told")
    await asyncio.sleep(0.2)
    with pytest.raises(LogRefuses, match="authentication failed"):
        relay.check()
    under_way.cancel()
