"""The sink's process on a real Kafka and Postgres: each event once, whatever dies."""

import asyncio
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest
from confluent_kafka import Producer

from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.postgres import Postgres
from orderflow_contracts.envelope import Envelope
from orderflow_model.topics import event_topic
from support.analytics.stored import Stored, cancelled, refunded
from support.flow.fleet import Fleet, until
from support.flow.orders import open_fleet
from support.tools.portion import Portion

ANALYTICS = {"image": "orderflow/services:dev", "contracts": "orderflow_shop.events"}
KILLS = 30
STORED = "SELECT id FROM raw.events ORDER BY id"


@pytest.fixture
def fleet(kafka: Kafka, postgres: Postgres, scratch: Path) -> Iterator[Fleet]:
    """The sink of the reference flow alone, running; its topics are there."""
    with open_fleet(kafka.bootstrap, postgres.admin_url, scratch, analytics=ANALYTICS) as fleet:
        asyncio.run(fleet.until_ready(fleet.start("raw")))
        yield fleet


def publish(fleet: Fleet, events: Sequence[Stored]) -> None:
    """Publish events as their services would."""
    producer = Producer({"bootstrap.servers": fleet.bootstrap, "acks": "all"})
    for one in events:
        topic = event_topic(fleet.flow, fleet.flow.spec.event(one.type)).name
        headers = Envelope(one.id, one.source, one.type, one.time, one.version).headers()
        producer.produce(topic, one.data, one.key, headers=list(headers))
    assert producer.flush(60) == 0


def mixed(number: int, random: Random) -> list[Stored]:
    """Return so many events of two types, and a twentieth of them a second time."""
    events = [cancelled(f"o{n}") if random.random() < 0.5 else refunded(f"o{n}", n) for n in range(number)]
    return events + random.sample(events, number // 20)


async def kept(fleet: Fleet, events: Sequence[Stored]) -> None:
    """Wait until as many are stored as there are different ones, and see that they are those."""
    wanted = sorted({one.id for one in events})

    async def stored() -> bool:
        return (await fleet.fetch("SELECT count(*) AS n FROM raw.events"))[0]["n"] >= len(wanted)

    await until(stored, f"{len(wanted)} events are stored", 60)
    assert [row["id"] for row in await fleet.fetch(STORED)] == wanted


@pytest.mark.timeout(600)
async def test_a_sink_that_is_killed_at_random_keeps_each_event_once(fleet: Fleet, chaos: Portion) -> None:
    """Killed while it works, again and again, with records repeated: all are there, none twice."""
    given: list[Stored] = []
    for turn in chaos.turns(range(KILLS)):
        random = Random(turn)
        coming = mixed(2_000, random)
        publish(fleet, coming)
        given += coming
        await asyncio.sleep(random.uniform(0, 0.5))
        await asyncio.to_thread(fleet.kill, "raw-0", signal.SIGKILL)
        fleet.start("raw")
    await kept(fleet, given)
