"""What a process writes to a real Kafka and hands to its own consumers is what these would have fetched."""

import asyncio
from collections.abc import Collection

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs re-export without saying so
    AdminClient,
    NewTopic,
)

from orderflow_cli.servers.kafka import Kafka
from orderflow_runtime.core.event_log import Message, Partition, Position, Record
from orderflow_runtime.kafka.handover import Handover, Part
from orderflow_runtime.kafka.kafka_log import KafkaLog, KafkaSettings


async def _let_go(_: Collection[Partition]) -> None:
    """Have nothing to give back."""


async def _begin(log: KafkaLog, topic: str) -> None:
    """Read the topic's one partition from its beginning."""
    await log.start(_let_go)
    await log.resume({Partition(topic, 0): Position(0)})


async def _read(log: KafkaLog, count: int) -> tuple[list[Record], Position]:
    """Return so many records, and the position behind them."""
    found: list[Record] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            for stretch in await log.fetch(500, 1.0):
                found += stretch.records
                end = stretch.end
    return found, end


@pytest.mark.parametrize("clock", ["CreateTime", "LogAppendTime"])
async def test_what_is_handed_over_is_what_the_log_holds(kafka: Kafka, flow_name: str, clock: str) -> None:
    """Each record and the mark by which the log is known again are the same, whoever set the time."""
    topic, handover, handed = f"{flow_name}.{clock}", Handover(), list[Part]()
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    made = admin.create_topics([NewTopic(topic, 1, 1, config={"message.timestamp.type": clock})])
    await asyncio.to_thread(made[topic].result, 10)
    one = KafkaLog(KafkaSettings(kafka.bootstrap, f"{flow_name}-one", (topic,)), handover)
    other = KafkaLog(KafkaSettings(kafka.bootstrap, f"{flow_name}-other", (topic,)), Handover())
    handover.join(handed.append)
    messages = [Message(topic, b"k%d" % n, [("h", b"\xff"), ("null", None)], b"v%d" % n) for n in range(30)]
    try:
        await _begin(one, topic)
        await _begin(other, topic)
        reading = asyncio.create_task(_read(one, 30))
        for n in range(0, 30, 3):
            await one.publish(messages[n : n + 3])
        ours, theirs = await reading, await _read(other, 30)
    finally:
        await one.stop()
        await other.stop()
    assert [record for part in handed for record in part.records] == theirs[0]
    assert ours == theirs
