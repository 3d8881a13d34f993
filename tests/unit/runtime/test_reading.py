"""A consumer whose partitions are taken away, and maybe given back, while it is about to read them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Collection, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from orderflow_runtime.core.event_log import Partition, Position
from orderflow_runtime.kafka import aiokafka_compat, kafka_log, lineage
from orderflow_runtime.kafka.handover import Handover
from orderflow_runtime.kafka.kafka_log import KafkaLog, KafkaSettings
from orderflow_runtime.kafka.writing import Writer
from support.runtime.leader import Leader

AT = Partition("t", 0)
TP = TopicPartition(*AT)
ID = uuid.UUID(int=1)


class Group:
    """A member of a group, and the cluster it reads; what it asks of lineage waits at the `gate` of that moment."""

    def __init__(self) -> None:
        self._client = Leader()
        self._client.cluster.topics = lambda: {"t"}
        self._client.cluster.unauthorized_topics = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()

    def shut(self) -> asyncio.Event:
        """Shut the gate and return it; who asks is noted."""
        self.gate = asyncio.Event()
        self.asked.clear()
        return self.gate

    def subscription(self) -> set[str]:
        """Return the topics."""
        return {"t"}

    def assignment(self) -> set[TopicPartition]:
        """Return what aiokafka tells until the group has dealt anew: what was dealt last."""
        return {TP}

    async def start(self, *_: object, **__: object) -> None:
        """Do nothing: so do all that do not matter here."""

    stop = getmany = start

    def pause(self, *_: object, **__: object) -> None:
        """Do nothing."""

    seek = subscribe = pause

    async def beginning_offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return that nothing is gone."""
        return dict.fromkeys(partitions, 0)

    async def ids(self, *_: object) -> Mapping[str, uuid.UUID]:
        """Return the topic's id, once the gate is open."""
        gate = self.gate
        self.asked.set()
        await gate.wait()
        return {"t": ID}

    async def ends(self, _: object, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """Return the log's ends."""
        return {partition: len(self._client.log[partition]) for partition in partitions}

    async def are_there(self, _: object, marks: Mapping[Partition, object]) -> Mapping[Partition, bool]:
        """Return that the log is what it was."""
        return dict.fromkeys(marks, True)


@pytest.fixture
async def group(monkeypatch: pytest.MonkeyPatch) -> Group:
    """A group of which the one member is given its partition by the tests."""
    group = Group()
    given: Any = SimpleNamespace(topic_ids=group.ids, end_offsets=group.ends, are_there=group.are_there)
    for name, value in vars(given).items():
        monkeypatch.setattr(lineage, name, value)
    monkeypatch.setattr(kafka_log, "AIOKafkaConsumer", lambda **_: group)
    monkeypatch.setattr(Writer, "producer", group.start)
    monkeypatch.setattr(aiokafka_compat, "wait_for_assignment", group.start)
    monkeypatch.setattr(aiokafka_compat, "close_consumer", group.start)
    return group


@pytest.fixture
async def log(group: Group) -> AsyncIterator[KafkaLog]:
    """The member's log, with its partition."""
    log = KafkaLog(KafkaSettings("127.0.0.1:1", "g", ("t",)), Handover())

    async def lose(_: object) -> None:
        pass

    await log.start(lose)
    await log.on_partitions_assigned([TP])
    yield log
    await log.stop()


@pytest.mark.parametrize("offset", [0, 1])
async def test_what_is_given_back_while_it_was_read_is_read_from_where_it_is_resumed(
    offset: int, group: Group, log: KafkaLog
) -> None:
    """What was under way belongs to nobody; no fault is seen where there is none."""
    group._client.write(AT, b"0", b"1", b"2")
    await log.resume({AT: Position(0, ID)})
    shut = group.shut()
    reading = asyncio.create_task(log.fetch(10, 1.0))
    await asyncio.wait_for(group.asked.wait(), 2)
    await log.on_partitions_revoked([TP])
    await log.on_partitions_assigned([TP])
    group.shut().set()
    await log.resume({AT: Position(offset, ID)})
    shut.set()
    assert await reading == []
    (stretch,) = await log.fetch(10, 1.0)
    assert (stretch.begin.offset, stretch.end.offset) == (offset, 3)


async def test_what_is_lost_while_it_is_resumed_is_not_read(group: Group, log: KafkaLog) -> None:
    """Its new owner reads it; to read it here too would cost as much again, for as long as the member lives."""
    group._client.write(AT, b"0")
    shut = group.shut()
    resuming = asyncio.create_task(log.resume({AT: Position(0, ID)}))
    await asyncio.wait_for(group.asked.wait(), 2)
    await log.on_partitions_revoked([TP])
    shut.set()
    assert await resuming == {}
    assert await log.fetch(10, 0.2) == []
    assert group._client.requests == []
