"""Duplicates on purpose: a share of a flow's records, published again byte for byte while the flow runs."""

import random
import threading
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from orderflow_model.topics import event_topic
from support.flow.fleet import Fleet


class Duplicator:
    """A thread that reads the flow's event topics and repeats each record with a probability of `share`."""

    def __init__(self, fleet: Fleet, share: float, seed: int = 1) -> None:
        self._fleet = fleet
        self._share = share
        self._random = random.Random(seed)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.read = 0
        self.repeated = 0

    def __enter__(self) -> "Duplicator":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        consumer = Consumer(
            {"bootstrap.servers": self._fleet.bootstrap, "group.id": "duplicator", "enable.auto.commit": False}
        )
        producer = Producer({"bootstrap.servers": self._fleet.bootstrap, "linger.ms": 50})
        topics = (event_topic(self._fleet.flow, event) for event in self._fleet.flow.spec.events)
        consumer.assign([TopicPartition(t.name, n, OFFSET_BEGINNING) for t in topics for n in range(t.partitions)])
        try:
            while not self._ending.is_set():
                for record in consumer.consume(1000, timeout=0.2):
                    self._take(record, producer)
                producer.poll(0)
        finally:
            producer.flush(30)
            consumer.close()

    def _take(self, record: Any, producer: Producer) -> None:
        self.read += 1
        if self._random.random() < self._share:
            producer.produce(
                record.topic(), record.value(), record.key(), partition=record.partition(), headers=record.headers()
            )
            self.repeated += 1
