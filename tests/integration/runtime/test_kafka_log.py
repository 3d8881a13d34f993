"""The dispatcher on real Kafka: takeover, the stored offset's word against the group's, topics that change."""

import asyncio
import os
import signal
import time
from collections.abc import Collection, Sequence
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from orderflow_cli.servers.kafka import Kafka
from orderflow_runtime.app import kafka_settings
from orderflow_runtime.core.event_log import LogUnavailable, Message, Partition, Position, Producer, partition_of
from orderflow_runtime.kafka import aiokafka_compat, writing
from orderflow_runtime.kafka.handover import Handover
from orderflow_runtime.kafka.kafka_log import KafkaLog, KafkaSettings
from support.flow.fleet import until
from support.records.poison import Poisoner, Wire
from support.runtime.real import Site
from support.runtime.running import message
from support.runtime.sample_service import Pat, Put


class Mute:
    """A producer of nothing: its owner dies between commit and publish."""

    def __init__(self, _: Producer) -> None:
        """Nothing of the real one is used."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Never come back."""
        await asyncio.Event().wait()

    publish_again = publish


async def test_a_takeover_publishes_what_the_dead_owner_owed_before_anything_new(site: Site) -> None:
    """Results of a dead instance's commits stand in the topic in order, before those of the next instance."""
    await site.send(*(Put(thing=f"k{n % 3}", n=n) for n in range(12)))
    async with site.running(wrap_producer=Mute, crash=True):
        await site.until_effects(12)
    await site.send(*(Put(thing=f"k{n % 3}", n=n) for n in range(12, 24)))
    async with site.running():
        results = await site.until_results(24)
    for key in range(3):
        assert [n for of, n in results if of == f"k{key}"] == list(range(key, 24, 3))
    assert len(await site.effects()) == 24


async def test_the_stored_offset_is_the_truth_and_the_groups_is_not(site: Site) -> None:
    """Whatever the group's committed offsets say, behind or ahead, each event is handled once."""
    topic = site.config.subscribes[0].topic
    await site.send(*(Put(thing=f"k{n}", n=n) for n in range(10)))
    commit(site, topic, 1_000_000)
    async with site.running():
        await site.until_effects(10)
    commit(site, topic, 0)
    await site.send(*(Put(thing=f"k{n}", n=n) for n in range(10, 20)))
    async with site.running():
        await site.until_effects(20)
        await until(lambda: committed(site, topic) == 20, "the group is told, for lag tools")
    assert len(await site.effects()) == 20


def commit(site: Site, topic: str, offset: int) -> None:
    """Set the group's offsets while it has no member."""
    consumer = Consumer({"bootstrap.servers": site.fleet.bootstrap, "group.id": site.config.group})
    consumer.commit(offsets=[TopicPartition(topic, n, offset) for n in range(3)], asynchronous=False)
    consumer.close()


def committed(site: Site, topic: str) -> int:
    """Give the sum of the group's offsets."""
    consumer = Consumer({"bootstrap.servers": site.fleet.bootstrap, "group.id": site.config.group})
    found = consumer.committed([TopicPartition(topic, n) for n in range(3)], timeout=10)
    consumer.close()
    return sum(max(partition.offset, 0) for partition in found)


async def test_partitions_that_are_added_are_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a topic grows under a running instance, it takes the new partitions' leases and handles their events."""
    options = KafkaSettings.client_options
    monkeypatch.setattr(KafkaSettings, "client_options", lambda self: options(self) | {"metadata_max_age_ms": 1_000})
    topic = site.config.subscribes[0].topic
    async with site.running() as process:
        await site.send(*(Put(thing=f"k{n}", n=n) for n in range(10)))
        await site.until_effects(10)
        admin = AdminClient({"bootstrap.servers": site.fleet.bootstrap})
        admin.create_partitions([NewPartitions(topic, 8)])[topic].result()
        await until(lambda: Partition(topic, 7) in process._worker.owned(), "the new partitions are leased")
        async with Poisoner(site.fleet.bootstrap) as sender:
            for n in range(10, 40):
                sent = message(site.config, Put(thing=f"k{n}", n=n))
                await sender.send(Wire("healthy", sent.topic, sent.key, sent.headers, sent.value))
        await site.until_effects(40)
    assert len(await site.effects()) == 40


async def test_a_topic_made_anew_is_read_from_its_start(site: Site) -> None:
    """A topic that was deleted and made again holds new events at old offsets: none of them is passed over."""
    topic = site.config.subscribes[0].topic
    await site.send(*(Put(thing="k", n=n) for n in range(30)))
    async with site.running():
        await site.until_effects(30)
    admin = AdminClient({"bootstrap.servers": site.fleet.bootstrap})
    admin.delete_topics([topic])[topic].result()
    await until(lambda: topic not in admin.list_topics(timeout=10).topics, "it is deleted")
    admin.create_topics([NewTopic(topic, 3, 1)])[topic].result()
    await asyncio.sleep(0.5)
    await site._sender.stop()
    await site.send(*(Put(thing="k", n=n) for n in range(30, 40)))
    async with site.running():
        await site.until_effects(40)
    assert await site.effects("k") == [f"PUT {n}" for n in range(40)]


async def test_events_that_retention_took_are_passed_over(site: Site) -> None:
    """When the topic begins after the stored offset, reading goes on where it begins."""
    topic = site.config.subscribes[0].topic
    number = partition_of(b"k", 3)
    await site.send(*(Put(thing="k", n=n) for n in range(5)))
    async with site.running():
        await site.until_effects(5)
    await site.send(*(Put(thing="k", n=n) for n in range(5, 20)))
    admin = AdminClient({"bootstrap.servers": site.fleet.bootstrap})
    partition = TopicPartition(topic, number, 15)
    await asyncio.to_thread(admin.delete_records([partition])[partition].result)
    async with site.running():
        await site.until_effects(10)
    assert await site.effects("k") == [f"PUT {n}" for n in (*range(5), *range(15, 20))]


async def test_two_instances_share_the_partitions_and_hand_them_over(site: Site) -> None:
    """An instance that joins takes half, one that leaves gives all back; each event is handled once, in order."""
    sent = 0

    async def send(count: int) -> None:
        nonlocal sent
        await site.send(*(Put(thing=f"k{n % 7}", n=n) for n in range(sent, sent + count)))
        sent += count

    async with site.running() as first:
        await send(50)
        async with site.running(instance="i1") as second:
            await until(lambda: 0 < len(second._worker.owned()) < 6 and first._worker.ready, "both have some")
            assert not set(first._worker.owned()) & set(second._worker.owned())
            await send(50)
            await site.until_effects(100)
        await send(50)
        results = await site.until_results(150)
    for key in range(7):
        expected = [n for n in range(150) if n % 7 == key]
        assert await site.effects(f"k{key}") == [f"PUT {n}" for n in expected]
        assert [n for of, n in results if of == f"k{key}"] == expected


async def test_calls_and_timers_run_on_real_servers(site: Site) -> None:
    """A call's outcome and a timer come back as items of the service, each once."""
    await site.send(Put(thing="k", n=1, do=("call", "set 0.2")), Pat(thing="l", n=2, do=("call",)))
    site.outside.answers = ["lost"]
    async with site.running():
        found = await site.until_effects(5)
    assert sorted(found) == ["PAT 2", "PUT 1", "outcome 1", "outcome 2", "timer 1"]
    rows = "SELECT 1 FROM sample.calls UNION ALL SELECT 1 FROM sample.timers UNION ALL SELECT 1 FROM sample.outbox"
    assert not await site.fleet.fetch(rows)


async def test_a_redrive_counts_once_on_postgres(site: Site) -> None:
    """A dead event that is redriven three times at once takes effect once, though another's redrive came first."""
    site.script.refuse["k", 0] = 100
    await site.send(Put(thing="k", n=0), event_id="one")
    async with site.running():
        await until(lambda: site.fleet.fetch("SELECT 1 FROM sample.dead_letters"), "it is dead")
        site.script.refuse.clear()
        (row,) = await site.fleet.fetch("SELECT id::text FROM sample.dead_letters")
        others = [("orderflow-redrive-of", b"4c0e2fd0-5f0e-4b8a-8a5e-9a51c6b2c1aa")]
        await site.send(Put(thing="k", n=0), event_id="two", extra=others)
        again = message(site.config, Put(thing="k", n=0), "one", extra=[("orderflow-redrive-of", row["id"].encode())])
        await site.publish([again] * 3)
        await site.send(Put(thing="k", n=1))
        await site.until_effects(2)
        assert await site.effects("k") == ["PUT 0", "PUT 1"]


async def test_a_cluster_that_does_not_answer_is_said_to_be_away() -> None:
    """Every way to Kafka raises the port's own error, names the address, and leaves nothing open."""
    log = KafkaLog(KafkaSettings("127.0.0.1:1", "g", ("t",)), Handover())

    async def nobody(_: object) -> None:
        """Nothing was assigned."""

    with pytest.raises(LogUnavailable, match=r"127\.0\.0\.1:1"):
        await log.start(nobody)
    with pytest.raises(LogUnavailable):
        await log.publish([Message("t", b"k", [], b"v")])
    with pytest.raises(LogUnavailable):
        await log.partitions_of("t")
    await log.report({Partition("t", 0): 1})
    assert await log.fetch(1, 0.01) == ()
    assert await log.resume({Partition("t", 0): Position(1)}) == {}
    await log.stop()


async def test_publishing_from_two_tasks_uses_one_producer(site: Site) -> None:
    """The worker's outbox and the relay publish side by side, also right after the producer was lost."""
    log, made = KafkaLog(kafka_settings(site.settings("sample")), Handover()), []
    new_producer = log._writer._connect

    async def count() -> Any:
        made.append(1)
        return await new_producer()

    log._writer._connect = count
    done = f"{site.config.flow}.done"
    await asyncio.gather(*(log.publish([Message(done, b"k%d" % n, [], b"v")]) for n in range(10)))
    await log._writer.close()
    await asyncio.gather(*(log.publish([Message(done, b"k%d" % n, [], b"v")]) for n in range(10)))
    assert len(made) == 2
    assert await log.partitions_of(done) == 3
    await log.stop()


async def test_a_broker_that_freezes_holds_up_neither_publishing_nor_closing(
    private_kafka: Kafka, flow_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no answer comes for is given up in time, and what is begun anew afterwards finds the broker again."""
    monkeypatch.setattr(writing, "_ANSWER_SECONDS", 2.0)
    monkeypatch.setattr(writing, "_ALIVE_SECONDS", 2.0)
    monkeypatch.setattr(aiokafka_compat, "_CLOSE_SECONDS", 1.0)
    topic = f"{flow_name}.done"
    admin = AdminClient({"bootstrap.servers": private_kafka.bootstrap})
    await asyncio.to_thread(lambda: admin.create_topics([NewTopic(topic, 1)])[topic].result(30))
    log = KafkaLog(KafkaSettings(private_kafka.bootstrap, flow_name, (topic,), instance="sample-0"), Handover())

    async def lost(_: Collection[Partition]) -> None:
        """Nothing is owed."""

    await log.start(lost)
    await log.publish([Message(topic, b"k", [], b"before")])
    os.kill(private_kafka.pid or 0, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(LogUnavailable):
            await log.publish([Message(topic, b"k", [], b"unanswered")])
        await log.stop()
        assert time.monotonic() - began < 12
    finally:
        os.kill(private_kafka.pid or 0, signal.SIGCONT)

    async def begins() -> bool:
        try:
            await log.start(lost)
        except LogUnavailable:  # the controllers have not let the broker in yet; the worker tries again as well
            return False
        return True

    await until(begins, "the broker is reached again")
    await log.publish([Message(topic, b"k", [], b"after")])
    await until(lambda: log.assigned(), "the partition is this member's again", 60)
    await log.resume({Partition(topic, 0): Position(0)})
    values: list[bytes | None] = []
    while b"after" not in values:
        values += [record.value for stretch in await log.fetch(10, 1) for record in stretch.records]
    assert values[0] == b"before"
    await log.stop()
