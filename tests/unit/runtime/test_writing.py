"""What a writer tells of the log that has acknowledged a write."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.client import ConnectionGroup

from orderflow_runtime.core.event_log import Message
from orderflow_runtime.kafka.handover import Handover, Part
from orderflow_runtime.kafka.writing import Writer

ONE, TWO = (1, ConnectionGroup.DEFAULT), (2, ConnectionGroup.DEFAULT)


class Producer:
    """Writes to a topic of one partition; `during` happens between a write and its acknowledgement."""

    def __init__(self) -> None:
        self.leader = 1
        self.connections: dict[object, object] = {ONE: object(), TWO: object()}
        self.client = SimpleNamespace(
            cluster=SimpleNamespace(leader_for_partition=lambda _: self.leader), _conns=self.connections
        )
        self.during: Callable[[], object] = lambda: None
        self._end = 0

    async def partitions_for(self, _: str) -> set[int]:
        """Return the one partition."""
        return {0}

    def create_batch(self) -> Any:
        """Return one whose contents do not matter."""
        return SimpleNamespace(append=lambda **_: None)

    async def send_batch(self, *_: object, **__: object) -> "asyncio.Future[Any]":
        """Acknowledge one record."""
        self.during()
        written = asyncio.get_running_loop().create_future()
        written.set_result(SimpleNamespace(offset=self._end, timestamp=1, timestamp_type=0))
        self._end += 1
        return written


def moves(producer: Producer) -> None:
    """Make another node the leader."""
    producer.leader = 3 - producer.leader


def breaks(producer: Producer) -> None:
    """Lose the leader's connection."""
    producer.connections.pop((producer.leader, ConnectionGroup.DEFAULT), None)


def reconnects(producer: Producer) -> None:
    """Connect to the leader anew."""
    producer.connections[producer.leader, ConnectionGroup.DEFAULT] = object()


@pytest.mark.parametrize("change", [moves, breaks, reconnects])
async def test_who_acknowledged_is_not_guessed(change: Callable[[Producer], None]) -> None:
    """Behind a leader that changed there may be another log: what was written then is like nothing before or after."""
    producer, handover, handed = Producer(), Handover(), list[Part]()

    async def connect() -> Any:
        return producer

    handover.join(handed.append)
    writer = Writer(connect, handover)
    for during in (lambda: None, lambda: None, lambda: change(producer), lambda: None, lambda: None):
        producer.during = during
        await writer.publish([Message("t", b"k", [], b"v")])
    first, second, meanwhile, *later = [part.source for part in handed]
    assert first is second
    assert meanwhile not in (first, *later)
    assert first not in later
    assert None not in (meanwhile, *later)
