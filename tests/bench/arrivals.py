"""Sees orders end: reads ORDER_COMPLETED and ORDER_CANCELLED from Kafka in a thread, and notes when each came.

An order counts as ended when its event reaches a consumer: the commit of its last row and the publication are behind
it.
"""

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition


class Arrivals:
    """`at` tells when (monotonic seconds) each order's end was seen, by order id; `fetches`, how often it has asked."""

    def __init__(self, bootstrap: str, topics: Iterable[str]) -> None:
        self.at: dict[str, float] = {}
        self.fetches = 0
        self._topics = list(topics)
        self._stopping = threading.Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"bench-{uuid.uuid4()}",
                "enable.auto.commit": False,
                "auto.offset.reset": "latest",
                "fetch.wait.max.ms": 500,
                "fetch.min.bytes": 1,
                "statistics.interval.ms": 500,
                "stats_cb": self._count,
            }
        )
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Arrivals":
        """Begin at the end of the topics."""
        try:
            self._consumer.assign([self._end(partition) for topic in self._topics for partition in self._of(topic)])
        except (KafkaException, TimeoutError):
            self._consumer.close()
            raise
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop reading."""
        self._stopping.set()
        self._thread.join()
        self._consumer.close()

    async def wait_for(self, ids: Iterable[str], seconds: float) -> None:
        """Return when all these orders have ended; raise TimeoutError naming how many did not."""
        missing, deadline = set(ids), time.monotonic() + seconds
        while missing := missing - self.at.keys():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(missing)} orders have not ended in {seconds} s, e.g. {next(iter(missing))}")
            await asyncio.sleep(0.02)

    def _of(self, topic: str) -> list[TopicPartition]:
        return [
            TopicPartition(topic, number) for number in self._consumer.list_topics(topic, 10).topics[topic].partitions
        ]

    def _end(self, partition: TopicPartition) -> TopicPartition:
        """A topic that was just made has no leader for a moment."""
        for _ in range(50):
            with suppress(KafkaException):
                partition.offset = self._consumer.get_watermark_offsets(partition, timeout=10)[1]
                return partition
            time.sleep(0.1)
        raise TimeoutError(f"{partition} has no leader")

    def _run(self) -> None:
        while not self._stopping.is_set():
            if (message := self._consumer.poll(0.2)) is not None:
                self._note(message)

    def _count(self, statistics: str) -> None:
        self.fetches = sum(broker["req"].get("Fetch", 0) for broker in json.loads(statistics)["brokers"].values())

    def _note(self, message: Message) -> None:
        key = message.key()
        if message.error() is None and isinstance(key, bytes):
            self.at.setdefault(key.decode(), time.monotonic())
