"""Reading on real Kafka: transactions of others, topics made anew, logs that lost their end."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from orderflow_cli.servers.kafka import Kafka
from support.flow.fleet import until
from support.runtime.real import Site, sample_flow
from support.runtime.running import message
from support.runtime.sample_service import Keyed, Put


@pytest.fixture
async def own_site(
    private_kafka: Kafka, database: str, flow_name: str, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    """A site whose Kafka the test may stop and change."""
    (folder := scratch / flow_name).mkdir()
    site = Site(sample_flow(flow_name), private_kafka.bootstrap, database, folder)
    await site.fleet.prepare()
    yield site
    await site.close()


def in_transaction(site: Site, events: Sequence[Keyed], commit: bool) -> None:
    """Write events in one transaction and end it."""
    producer = Producer(
        {
            "bootstrap.servers": site.fleet.bootstrap,
            "transactional.id": f"{site.config.flow}-{commit}",
            "partitioner": "consistent",
        }
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    for event in events:
        sent = message(site.config, event)
        producer.produce(sent.topic, sent.value, sent.key, headers=list(sent.headers))
    producer.flush(30)
    (producer.commit_transaction if commit else producer.abort_transaction)(30)


async def until_at_the_end(site: Site, process: Any, topic: str) -> None:
    """Wait until there is no lag, by our own measure and by what the group's offsets tell others."""
    await until(lambda: not any(process._worker.lag().values()), "no lag of our own")
    consumer = Consumer({"bootstrap.servers": site.fleet.bootstrap, "group.id": site.config.group})

    def behind() -> int:
        partitions = [TopicPartition(topic, number) for number in range(3)]
        ends = [consumer.get_watermark_offsets(partition, timeout=10)[1] for partition in partitions]
        return sum(ends) - sum(max(p.offset, 0) for p in consumer.committed(partitions, timeout=10))

    await until(lambda: behind() == 0, "no lag of the group's")
    consumer.close()


async def test_what_was_aborted_is_never_handled_and_no_lag_is_left_behind_ends_of_transactions(site: Site) -> None:
    """Only committed records take effect; the last offsets, which hold markers alone, are passed."""
    topic = site.config.subscribes[0].topic
    await site.send(*(Put(thing=f"k{n}", n=n) for n in range(9)))
    await asyncio.to_thread(in_transaction, site, [Put(thing=f"k{n}", n=n) for n in range(9, 18)], False)
    async with site.running() as process:
        await until_at_the_end(site, process, topic)
        await asyncio.to_thread(in_transaction, site, [Put(thing=f"k{n}", n=n) for n in range(18, 27)], True)
        await asyncio.to_thread(in_transaction, site, [Put(thing=f"k{n}", n=n) for n in range(27, 36)], False)
        await site.until_effects(18)
        await until_at_the_end(site, process, topic)
    async with site.running() as process:
        await until_at_the_end(site, process, topic)
    assert sorted(await site.effects()) == sorted(f"PUT {n}" for n in (*range(9), *range(18, 27)))


async def make_anew(site: Site, topic: str) -> None:
    """Delete a topic and create it again."""
    admin = AdminClient({"bootstrap.servers": site.fleet.bootstrap})
    admin.delete_topics([topic])[topic].result()
    await until(lambda: topic not in admin.list_topics(timeout=10).topics, "it is deleted")

    def create() -> bool:
        try:
            admin.create_topics([NewTopic(topic, 3, 1)])[topic].result()
        except Exception:
            return False
        return True

    await until(lambda: asyncio.to_thread(create), "it is created")
    await asyncio.sleep(0.5)
    await site._sender.stop()


async def test_a_topic_made_anew_and_filled_beyond_the_offset_is_read_from_its_start(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """No new event is passed over, what waits from before goes on, and the log tells of it once."""
    topic = site.config.subscribes[0].topic
    again = [message(site.config, Put(thing=f"k{n}", n=n), event_id=f"again-{n}") for n in range(6)]
    site.script.refuse["late", 7] = 2
    await site.publish(again)
    await site.send(Put(thing="timed", n=8, do=("set 3",)), Put(thing="late", n=7))
    async with site.running():
        await site.until_effects(7)
    await make_anew(site, topic)
    await site.publish(again)
    await site.send(*(Put(thing=f"k{n}", n=n) for n in range(10, 106)))
    async with site.running() as process:
        await site.until_effects(6 + 3 + 96)
        await until_at_the_end(site, process, topic)
    expected = [f"PUT {n}" for n in (*range(6), 7, 8, *range(10, 106))]
    assert sorted(await site.effects()) == sorted([*expected, "timer 8"])
    told = [record for record in caplog.records if "made anew" in record.message and record.levelname == "ERROR"]
    assert 1 <= len(told) <= 3, "once for each partition that had an offset"
    async with site.running():
        pass
    assert len([r for r in caplog.records if "made anew" in r.message and r.levelname == "ERROR"]) == len(told)


async def test_a_topic_made_anew_under_a_running_instance_is_read_from_its_start(site: Site) -> None:
    """Whether the new topic is shorter or longer than the old one was read, all of it is handled."""
    topic = site.config.subscribes[0].topic
    async with site.running():
        await site.send(*(Put(thing=f"k{n}", n=n) for n in range(30)))
        await site.until_effects(30)
        await make_anew(site, topic)
        await site.send(*(Put(thing=f"k{n}", n=n) for n in range(30, 40)))
        await site.until_effects(40)
        await make_anew(site, topic)
        await site.send(*(Put(thing=f"k{n}", n=n) for n in range(40, 200)))
        await site.until_effects(200)
    assert sorted(await site.effects()) == sorted(f"PUT {n}" for n in range(200))


async def test_a_restored_kafka_is_read_from_its_start(own_site: Site, private_kafka: Kafka) -> None:
    """Its topics are those of before, cut off and filled again with what is new: that alone takes effect."""
    site = own_site
    await site.send(*(Put(thing=f"k{n}", n=n) for n in range(10)))
    await asyncio.to_thread(private_kafka.stop)
    backup = private_kafka._directory / "backup"
    shutil.copytree(private_kafka._data, backup)
    await asyncio.to_thread(private_kafka.start)
    await site.send(*(Put(thing=f"k{n}", n=n) for n in range(10, 40)))
    async with site.running():
        await site.until_effects(40)
        await asyncio.to_thread(private_kafka.stop)
        shutil.rmtree(private_kafka._data)
        shutil.copytree(backup, private_kafka._data)
        await asyncio.to_thread(private_kafka.start)
        await site._sender.stop()
        await site.send(*(Put(thing=f"k{n}", n=n) for n in range(40, 140)))
        await site.until_effects(140)
    assert sorted(await site.effects()) == sorted(f"PUT {n}" for n in range(140))
