"""What disturbs a running fleet, drawn from a seed: orders keep coming while processes die, freeze and leave."""

import asyncio
import itertools
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from random import Random

from confluent_kafka import Consumer, Producer, TopicPartition

from orderflow_contracts.dead_letters import LETTER_ID
from orderflow_model.names import schema_name
from orderflow_model.service_part import service_config
from orderflow_model.topics import event_topic
from support.flow.fleet import Fleet, until
from support.flow.oracles import judge, until_at_rest
from support.flow.orders import Shop, mixture


class Load:
    """Orders of every fate, placed by a client that repeats what is not answered."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self.placed = 0
        self.began = time.monotonic()

    async def place(self, number: int) -> None:
        """Place so many, however long that takes."""
        await self._shop.place_all(mixture(number))
        self.placed += number

    async def during(self, number: int, disturb: Callable[[], Awaitable[None]]) -> None:
        """Place so many while something happens."""
        placing = asyncio.create_task(self.place(number))
        await disturb()
        await placing

    async def verdict(self, seconds: float = 240, dead_letters: int = 0) -> str:
        """Wait until all has ended, let the oracles judge it, and give the figures."""
        ended_placing = time.monotonic()
        await until_at_rest(self._shop.fleet, self.placed, seconds)
        drained, took = time.monotonic() - ended_placing, time.monotonic() - self.began
        figures = await judge(self._shop.fleet, dead_letters=dead_letters)
        return f"{figures}; {took:.0f} s in all, the last {drained:.1f} s draining"


async def kill_and_restart(fleet: Fleet, name: str, how: signal.Signals = signal.SIGKILL) -> None:
    """End an instance and start it again at once; a graceful end is waited for."""
    service, _, instance = name.rpartition("-")
    code = await asyncio.to_thread(fleet.kill, name, how)
    assert code == (-how if how is signal.SIGKILL else 0), f"{name} ended with {code}"
    fleet.start(service, int(instance))


async def freeze_until_replaced(fleet: Fleet, name: str) -> None:
    """Stop an instance in its tracks, and let it go on when another has all its leases: it knows nothing of that."""
    offsets = f'"{schema_name(name.rpartition("-")[0])}".offsets'
    query = f"SELECT 1 FROM {offsets} WHERE owner = $1"  # noqa: S608 - a fixed name

    async def replaced() -> bool:
        return not await fleet.fetch(query, name)

    await until(lambda: fleet.fetch(query, name), f"{name} has leases")
    fleet.processes[name].send_signal(signal.SIGSTOP)
    try:
        await until(replaced, f"another instance has the leases of {name}", every=0.5)
    finally:
        fleet.processes[name].send_signal(signal.SIGCONT)


def pauses(random: Random, least: float, most: float) -> Iterator[float]:
    """Give waits without end."""
    return (random.uniform(least, most) for _ in itertools.count())


def poison(fleet: Fleet, event: str, number: int) -> int:
    """Publish records that are no events; give how many dead letters they make, one for each subscriber."""
    topic = event_topic(fleet.flow, fleet.flow.spec.event(event)).name
    producer = Producer({"bootstrap.servers": fleet.bootstrap, "acks": "all"})
    for count in range(number):
        producer.produce(topic, b'{"orderId": broken', b"poison-%d" % count)
    assert producer.flush(60) == 0
    return number * sum(event in service.subscribes for service in fleet.flow.services)


def buried(fleet: Fleet) -> int:
    """Count the different dead letters in the dead-letter topics."""
    consumer = Consumer({"bootstrap.servers": fleet.bootstrap, "group.id": "buried", "enable.auto.commit": False})
    ids = set()
    try:
        for service in fleet.flow.services:
            part = TopicPartition(service_config(fleet.flow, service.name).dead_letter_topic, 0, 0)
            left = consumer.get_watermark_offsets(part, timeout=20)[1]
            consumer.assign([part])
            while left:
                for record in consumer.consume(500, timeout=10):
                    ids.add(dict(record.headers())[LETTER_ID])
                    left -= 1
    finally:
        consumer.close()
    return len(ids)
