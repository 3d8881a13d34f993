"""What a real broker refuses: too large together, too large alone, not now; and that all else is written."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from types import MappingProxyType

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs re-export without saying so
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from orderflow_cli.servers.kafka import Kafka
from orderflow_runtime.core.event_log import Message, Record, RefusedError
from orderflow_runtime.dispatch import publications
from orderflow_runtime.kafka.handover import Handover
from orderflow_runtime.kafka.kafka_log import KafkaLog, KafkaSettings
from support.flow.fleet import until
from support.records.poison import read_topic
from support.runtime.real import Site
from support.runtime.sample_service import Pat, Put

SETTING = "message.timestamp.before.max.ms"
REFUSING, TAKING = {SETTING: "0"}, (SETTING, str(2**62))
"""A topic that takes nothing which is older than this very moment stands for all that refuse for good."""


@pytest.fixture
async def log(kafka: Kafka) -> AsyncIterator[KafkaLog]:
    """A log that only publishes."""
    log = KafkaLog(KafkaSettings(kafka.bootstrap, "g", ()), Handover())
    yield log
    await log.stop()


def make(kafka: Kafka, topic: str, settings: Mapping[str, str] = MappingProxyType({})) -> None:
    """Make a topic of two partitions, with settings."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for future in admin.create_topics([NewTopic(topic, 2, 1, config=dict(settings))]).values():
        future.result(10)


async def alter(bootstrap: str, topic: str, name: str, value: str) -> None:
    """Set one setting of a topic."""
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.incremental_alter_configs([resource]).values():
        await asyncio.to_thread(future.result, 10)


def messages(topic: str, sizes: Sequence[int], key: str = "k") -> list[Message]:
    """Make messages of these sizes, numbered in their first bytes."""
    return [Message(topic, key.encode(), [], b"%06d" % n + b"x" * size) for n, size in enumerate(sizes)]


async def numbers(kafka: Kafka, topic: str) -> list[int]:
    """Give the numbers of a topic's messages, in order."""
    records: list[Record] = await read_topic(kafka.bootstrap, topic)
    return [int((record.value or b"")[:6]) for record in records]


async def test_batches_are_as_small_as_the_topic_wants_them(kafka: Kafka, log: KafkaLog, flow_name: str) -> None:
    """A limit far below what is sent at once splits it; nothing is missing, doubled or out of order."""
    make(kafka, flow_name, {"max.message.bytes": "65536"})
    await log.publish(messages(flow_name, [1_000] * 500))
    assert await numbers(kafka, flow_name) == list(range(500))


async def test_one_message_that_is_too_large_is_its_own_failure(kafka: Kafka, log: KafkaLog, flow_name: str) -> None:
    """It alone is refused, by its place; what stands before and behind it is written in order."""
    make(kafka, flow_name, {"max.message.bytes": "20000"})
    make(kafka, f"{flow_name}.other")
    sizes = [1_000] * 60
    sizes[7], sizes[40] = 50_000, 25_000
    with pytest.raises(RefusedError) as refused:
        await log.publish([*messages(flow_name, sizes), *messages(f"{flow_name}.other", [10] * 3)])
    assert [(one.place, one.own) for one in refused.value.refusals] == [(7, True), (40, True)]
    assert flow_name in str(refused.value)
    assert await numbers(kafka, flow_name) == [n for n in range(60) if n not in (7, 40)]
    assert await numbers(kafka, f"{flow_name}.other") == [0, 1, 2]


async def test_a_topic_that_takes_nothing_holds_up_itself_alone(kafka: Kafka, log: KafkaLog, flow_name: str) -> None:
    """The others' messages are written, and its own once its setting is another."""
    make(kafka, flow_name, REFUSING)
    make(kafka, f"{flow_name}.other")
    with pytest.raises(RefusedError, match="InvalidTimestampError; see the topic") as refused:
        await log.publish([*messages(flow_name, [10] * 3), *messages(f"{flow_name}.other", [9])])
    assert [(one.place, one.own) for one in refused.value.refusals] == [(n, False) for n in range(3)]
    assert await numbers(kafka, f"{flow_name}.other") == [0]
    await alter(kafka.bootstrap, flow_name, *TAKING)
    await log.publish_again(messages(flow_name, [10] * 3))
    assert await numbers(kafka, flow_name) == [0, 1, 2]


async def test_a_topic_that_is_not_there_holds_up_itself_alone(kafka: Kafka, log: KafkaLog, flow_name: str) -> None:
    """It is told by its name; what is for others is written."""
    make(kafka, f"{flow_name}.other")
    with pytest.raises(RefusedError, match=f"{flow_name}: UnknownTopicOrPartitionError; the topic is not there"):
        await log.publish([*messages(flow_name, [10]), *messages(f"{flow_name}.other", [10])])
    assert await numbers(kafka, f"{flow_name}.other") == [0]


async def test_a_service_goes_on_while_its_topic_takes_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are handled, readiness tells why, and when the setting is gone all is published in order."""
    monkeypatch.setattr(publications, "_AGAIN_SECONDS", 0.5)
    topic = site.config.publishes[0].topic
    await alter(site.fleet.bootstrap, topic, SETTING, "0")
    async with site.running() as process:
        await site.send(*(Put(thing=f"k{n % 2}", n=n) for n in range(20)))
        await site.until_effects(20)
        await until(lambda: topic in process._hindrance(), "it is told")
        assert not process._obstacle(), "what goes on is not taken out of its Service"
        await site.send(*(Put(thing=f"k{n % 2}", n=n) for n in range(20, 30)))
        await site.until_effects(30)
        await alter(site.fleet.bootstrap, topic, *TAKING)
        results = await site.until_results(30)
        await until(lambda: not process._hindrance(), "nothing is told any more")
    for key in range(2):
        assert [n for of, n in results if of == f"k{key}"] == list(range(key, 30, 2))


async def test_a_topic_that_is_not_there_to_be_read_leaves_the_others(site: Site, kafka: Kafka) -> None:
    """A service starts without it, tells of it and reads the others; once it is there, it is read too."""
    topic = site.config.subscribes[0].topic
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for future in admin.delete_topics([topic]).values():
        await asyncio.to_thread(future.result, 10)
    async with site.running() as process:
        await site.send(Pat(thing="k", n=1))
        await site.until_effects(1)
        await until(lambda: f"{topic}: UnknownTopicOrPartitionError" in process._hindrance(), "it is told")
        assert not process._obstacle()
        await asyncio.to_thread(make, kafka, topic)
        await site.send(Put(thing="k", n=2))
        await site.until_effects(2)
        await until(lambda: not process._hindrance(), "nothing is told any more")
