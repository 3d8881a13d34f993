"""Lag in time and topics, on a real Kafka."""

import asyncio
import time

import asyncpg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from orderflow_cli.servers.kafka import Kafka
from orderflow_console.queries.database import Database
from orderflow_console.queries.errors import ReadError, UnknownError
from orderflow_console.queries.kafka import client_options
from orderflow_console.queries.lag import LagReader, Trend
from orderflow_console.queries.topics import get_topic, list_topics, subscribed_topics

OFFSET = "INSERT INTO {}.offsets (topic, partition, next_offset) VALUES ($1, $2, $3)"


@pytest.fixture
def topic(kafka: Kafka, flow_name: str) -> str:
    """A topic of two partitions; the first holds records that are 100, 90 and 80 seconds old."""
    name = f"{flow_name}.told"
    new = NewTopic(name, 2, config={"retention.ms": "86400000"})
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([new])[name].result(30)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    now = time.time()
    for age in (100, 90, 80):
        producer.produce(name, b"{}", partition=0, timestamp=int((now - age) * 1000))
    assert producer.flush(30) == 0
    return name


async def test_lag_is_the_age_of_the_oldest_event_not_handled(
    kafka: Kafka, topic: str, admin: asyncpg.Connection, reads: Database
) -> None:
    """Each service's own offset counts: one is behind, and falls further behind or catches up; the other is not."""
    for service, offset in (("payment", 1), ("shipping", 3)):
        await admin.execute(OFFSET.format(service), topic, 0, offset)
        await admin.execute(OFFSET.format(service), topic, 1, 0)
    clock = [time.time()]
    reader = LagReader(reads, client_options(kafka.bootstrap, {}), lambda: clock[0])
    behind, level = await reader.read()
    assert (behind.service, behind.records, behind.behind, behind.partitions) == ("payment", 2, 1, 2)
    assert behind.seconds == pytest.approx(90, abs=5)
    assert (level.service, level.seconds, level.records, level.trend) == ("shipping", 0.0, 0, Trend.UNKNOWN)
    clock[0] += 10
    behind, level = await reader.read()
    assert behind.seconds == pytest.approx(100, abs=5)
    assert (behind.trend, level.trend) == (Trend.RISING, Trend.STEADY)
    await admin.execute("UPDATE payment.offsets SET next_offset = 3 WHERE partition = 0")
    behind, _ = await reader.read()
    assert (behind.seconds, behind.records, behind.trend) == (0.0, 0, Trend.FALLING)


async def test_topics_are_told_with_their_partitions(
    kafka: Kafka, topic: str, flow_name: str, admin: asyncpg.Connection, reads: Database
) -> None:
    """The flow's topics are those called after it, and those its services read; each with leaders and offsets."""
    await admin.execute(OFFSET.format("payment"), "elsewhere", 0, 0)
    assert await subscribed_topics(reads) == {"elsewhere"}
    options = client_options(kafka.bootstrap, {})
    (told,) = await asyncio.to_thread(list_topics, options, flow_name)
    assert (told.name, told.partitions, told.replicas, told.leaderless, told.lagging_copies) == (topic, 2, 1, 0, 0)
    details = await asyncio.to_thread(get_topic, options, topic)
    assert [(one.first, one.end, one.leader is not None) for one in details.partitions] == [(0, 3, True), (0, 0, True)]
    assert details.settings["retention.ms"] == "86400000"
    with pytest.raises(UnknownError, match="no topic"):
        await asyncio.to_thread(get_topic, options, f"{topic}.none")


async def test_a_kafka_that_is_away_is_said_in_words(reads: Database) -> None:
    """The answer is a sentence, not a wait without end."""
    with pytest.raises(ReadError, match="Is Kafka running"):
        await asyncio.to_thread(list_topics, client_options("127.0.0.1:1", {}), "x")
