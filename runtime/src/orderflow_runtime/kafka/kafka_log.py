"""The log on Kafka (aiokafka). `app.py` makes one per process.

The group decides who reads which partition; where to read from is decided by Postgres alone, so every newly assigned
partition stays paused until the worker has its lease and calls `resume`.
"""

import asyncio
import logging
import ssl
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError, NoOffsetForPartitionError

from orderflow_runtime.core.event_log import LogRefuses, LogUnavailable, Message, Partition, Position, Revoked, Stretch
from orderflow_runtime.kafka import aiokafka_compat, clients
from orderflow_runtime.kafka.handover import Handover
from orderflow_runtime.kafka.reading import Reader
from orderflow_runtime.kafka.writing import Writer

logger = logging.getLogger(__name__)

REQUEST_BYTES = 4 * 1024 * 1024
"""A dead letter is one event at the broker's limit and its reason."""
_HELD_MS = 10_000
"""How often aiokafka looks whether it may fetch by itself, which it never may."""
_REPORT_SECONDS = 30.0
"""A commit waits for its coordinator, and on a consumer that has been given up nobody looks for one any more."""


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How to reach the cluster. `instance` makes the membership static: a restart takes over at once."""

    bootstrap: str
    group: str
    topics: tuple[str, ...]
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "SCRAM-SHA-512"
    username: str | None = None
    password: str | None = None
    ca_file: str | None = None
    instance: str | None = None

    def client_options(self) -> dict[str, Any]:
        """Return what consumer and producer share."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap,
            "security_protocol": self.security_protocol,
            "client_id": self.instance or self.group,
            "metadata_max_age_ms": 30_000,
        }
        if self.security_protocol.startswith("SASL"):
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = _trusting(self.ca_file)
        return options


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    """Return the TLS of clients that trust this authority, or the system's; raise `OSError` that names the file."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except FileNotFoundError as error:
        raise FileNotFoundError(error.errno, error.strerror, ca_file) from None


class KafkaLog(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """A `Consumer` and a `Producer` on a Kafka cluster. What stops the one stops the other.

    The logs of one process share a `Handover`.
    """

    def __init__(self, settings: KafkaSettings, handover: Handover) -> None:
        aiokafka_compat.install()
        self._settings = settings
        self._handover = handover
        self._consumer: AIOKafkaConsumer | None = None
        self._writer = Writer(self._new_producer, handover)
        self._assigned: frozenset[Partition] = frozenset()
        self._joined = False
        self._reader: Reader | None = None
        self._on_revoked: Revoked | None = None
        self._heard: Collection[Exception] = ()
        """what goes wrong with the consumer's connections, which are made anew beside its calls"""

    async def start(self, on_revoked: Revoked) -> None:
        """Join the group; raise `LogUnavailable` when the cluster does not answer."""
        self._on_revoked = on_revoked
        try:
            await self._writer.producer()
            if self._settings.topics:
                with self._reaching() as self._heard:
                    await self._join()
        except LogUnavailable:
            await self.stop()
            raise

    async def _join(self) -> None:
        """Start and subscribe, in this order: a start waits for each topic, be it one that never comes."""
        self._consumer = consumer = self._new_consumer()
        self._reader = Reader(consumer, self._handover)
        await consumer.start()
        consumer.subscribe(topics=list(self._settings.topics), listener=self)
        await aiokafka_compat.wait_for_assignment(consumer)

    def assigned(self) -> frozenset[Partition]:
        """Return this member's partitions."""
        return self._assigned

    def unread(self) -> Mapping[str, str]:
        """Return the topics that cannot be read, as the reader and the cluster's metadata know them."""
        return self._reader.refused() if self._reader is not None and self._joined else {}

    def joined(self) -> bool:
        """Return whether there was an assignment."""
        return self._joined

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Hand back what is lost before another member gets it."""
        lost = frozenset(Partition(*tp) for tp in revoked)
        self._assigned -= lost
        if self._reader is not None:
            self._reader.drop(lost)
        if lost and self._on_revoked:
            await self._on_revoked(lost)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Hold the new partitions until the worker has their leases."""
        if self._reader is not None:
            self._reader.hold(assigned)
        self._assigned = frozenset(Partition(*tp) for tp in assigned)
        self._joined = True

    async def resume(self, positions: Mapping[Partition, Position]) -> Mapping[Partition, Position]:
        """Read on, or from the first record where the log is another; partitions lost meanwhile are passed over."""
        reader, mine = self._reader, {p: at for p, at in positions.items() if p in self._assigned}
        if reader is None or not mine:
            return {}
        try:
            found = await reader.resume(mine)
        except KafkaError as error:
            raise LogUnavailable(f"offsets of {len(mine)} partitions: {error!r}") from error
        reader.drop(mine.keys() - self._assigned)
        return {p: at for p, at in found.items() if p in self._assigned}

    async def fetch(self, limit: int, wait: float) -> Sequence[Stretch]:
        """Return up to `limit` records once there are any; raise `LogRefuses` when new connections are refused."""
        if clients.refuses(self._heard):
            raise self._unavailable(KafkaConnectionError(), self._heard)
        if self._reader is None:
            await asyncio.sleep(wait)
            return ()
        try:
            return await self._reader.read(limit, wait)
        except NoOffsetForPartitionError:  # of a partition that is assigned, and not held yet
            return ()
        except KafkaError as error:
            raise LogUnavailable(f"fetch: {error!r}") from error

    async def publish(self, messages: Sequence[Message]) -> None:
        """Write all; see `Writer.publish`."""
        await self._writer.publish(messages)

    async def publish_again(self, messages: Sequence[Message]) -> None:
        """Write by a producer of its own: what is refused again costs the others nothing."""
        writer = Writer(self._new_producer, self._handover)
        try:
            await writer.publish(messages)
        finally:
            await writer.close()

    async def report(self, offsets: Mapping[Partition, int]) -> None:
        """Commit to the group, for lag tools; only partitions that are still ours."""
        unread = self.unread()
        mine = {
            TopicPartition(*p): offset for p, offset in offsets.items() if p in self._assigned and p.topic not in unread
        }
        if self._consumer is None or not mine:
            return
        try:
            async with asyncio.timeout(_REPORT_SECONDS):
                await self._consumer.commit(mine)
        except (KafkaError, OSError) as error:
            logger.debug("offsets not reported: %r", error)

    def ends(self) -> Mapping[Partition, int]:
        """Return the ends by the last answers to fetches; where there was none yet, as they were when it resumed."""
        reader = self._reader
        return {p: end for p in self._assigned if reader is not None and (end := reader.end(p)) is not None}

    async def partitions_of(self, topic: str) -> int:
        """Return the number of partitions, from the cluster's metadata."""
        try:
            numbers = await (await self._writer.producer()).partitions_for(topic)
        except (KafkaError, OSError) as error:
            raise LogUnavailable(f"metadata of {topic}: {error!r}") from error
        return len(numbers)

    async def stop(self) -> None:
        """Leave the group at once, static members too, and close."""
        consumer, reader = self._consumer, self._reader
        self._consumer, self._reader, self._heard = None, None, ()
        self._assigned, self._joined = frozenset(), False
        if reader is not None:
            await reader.close()
        if consumer is not None:
            await aiokafka_compat.close_consumer(consumer)
        await self._writer.close()

    def _new_consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **self._settings.client_options(),
            group_id=self._settings.group,
            group_instance_id=self._settings.instance,
            enable_auto_commit=False,
            auto_offset_reset="none",
            session_timeout_ms=10_000,
            heartbeat_interval_ms=2_000,
            max_poll_interval_ms=600_000,
            consumer_timeout_ms=_HELD_MS,
        )

    async def _new_producer(self) -> AIOKafkaProducer:
        """Return a producer that has reached the cluster; raise `LogUnavailable` with the reason."""
        with self._reaching():
            producer = AIOKafkaProducer(
                **self._settings.client_options(),
                acks="all",
                enable_idempotence=True,
                max_batch_size=REQUEST_BYTES,
                max_request_size=REQUEST_BYTES,
                request_timeout_ms=15_000,
            )
            try:
                await producer.start()
            except BaseException:
                await aiokafka_compat.close_producer(producer)
                raise
            return producer

    @contextmanager
    def _reaching(self) -> Iterator[Collection[Exception]]:
        with clients.hearing() as heard:
            try:
                yield heard
            except (KafkaError, OSError) as error:
                raise self._unavailable(error, heard) from error

    def _unavailable(self, error: Exception, heard: Collection[Exception]) -> LogUnavailable:
        kind = LogRefuses if clients.refuses((*heard, error)) else LogUnavailable
        return kind(f"Kafka at {self._settings.bootstrap}: {clients.reason(error, heard)}")
