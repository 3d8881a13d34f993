"""Runs the five services' real handlers in this process, without Kafka, in batches of 500, and writes down what they
ask of Postgres and what they publish: what the two limits are measured with. Called by `bench.py`.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import asyncpg
import msgspec
import payment_in_process
from orders import Placed

from orderflow_inventory.__main__ import build as inventory
from orderflow_model.flow import OrderFlow
from orderflow_model.service_part import service_config
from orderflow_model.topics import flow_topics
from orderflow_notification.__main__ import build as notification
from orderflow_order.__main__ import build as order
from orderflow_order.commands import Place
from orderflow_order.http.requests import KeyedOrderRequest
from orderflow_runtime.core.event_log import Message, Partition, Position, Record, partition_of, unpack
from orderflow_runtime.core.store import CallRow, Lease
from orderflow_runtime.core.work_item import Poison, WorkItem, outcome_item, read_item
from orderflow_runtime.dispatch.commands import CommandBus, shards_of
from orderflow_runtime.dispatch.dispatcher import Batch, Dispatcher
from orderflow_runtime.dispatch.effects import Clock, Publisher
from orderflow_runtime.dispatch.execution import HandlerPolicy, handler_table
from orderflow_runtime.dispatch.retry import RetryPolicy
from orderflow_runtime.postgres.postgres_store import PostgresStore
from orderflow_runtime.service import CallOutcome, Service
from orderflow_runtime.settings import Settings
from orderflow_runtime.tracing.tracer import Tracer
from orderflow_shipping.__main__ import build as shipping

BATCH = 500
TRACER = Tracer()
"""Nothing is recorded."""
BUILD: dict[str, Callable[[Settings], Service]] = {
    "order": order,
    "inventory": inventory,
    "payment": payment_in_process.build,
    "shipping": shipping,
    "notification": notification,
}
Statement = tuple[str, str, tuple[object, ...]]
"""The connection's method, the SQL and its arguments."""


class RecordingStore(PostgresStore):
    """The real store; every statement of its connections is written to `journal`, in order."""

    def __init__(self, dsn: str, schema: str, journal: list[Statement]) -> None:
        super().__init__(dsn, schema)
        self._journal = journal

    async def _connect(self) -> Any:
        return _Recorded(await super()._connect(), self._journal)


class _Recorded:
    """A connection whose statements are written down."""

    def __init__(self, connection: asyncpg.Connection, journal: list[Statement]) -> None:
        self._connection, self._journal = connection, journal

    async def fetch(self, query: str, *args: object) -> Any:
        self._journal.append(("fetch", query, args))
        return await self._connection.fetch(query, *args)

    async def execute(self, query: str, *args: object) -> Any:
        self._journal.append(("execute", query, args))
        return await self._connection.execute(query, *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class Stage:
    """One service: a queue of what it has to take in, and its real dispatcher and store."""

    def __init__(self, flow: OrderFlow, name: str, dsn: str) -> None:
        config = service_config(flow, name)
        self.service = BUILD[name](Settings(config, {}))
        self.journal: list[Statement] = []
        self.store = RecordingStore(dsn, name, self.journal)
        self.waiting: list[Record] = []
        self.outcomes: list[WorkItem] = []
        events = {event.TYPE: event for event in self.service.handlers}
        self.events = {channel.topic: events[channel.event] for channel in config.subscribes}
        self.inbox_days = config.inbox_days
        topics = {channel.event: channel.topic for channel in config.publishes}
        self.publisher = Publisher(
            f"/{config.flow}/{name}", {event: topics[event.TYPE] for event in self.service.publishes}, Clock(), TRACER
        )
        retry = RetryPolicy(config.delivery)
        policy = HandlerPolicy(name, config.dead_letter_topic, handler_table(self.service), self.publisher, retry)
        self._dispatcher = Dispatcher(policy, self.store)
        self._published: list[int] = []
        self._leases: dict[Partition, Lease] = {}

    async def start(self, partitions: Mapping[str, int]) -> None:
        """Take all leases."""
        await self.store.rotate_inbox(self.inbox_days)
        mine = [Partition(topic, number) for topic in self.events for number in range(partitions[topic])]
        self._leases = await self.store.acquire(mine, "rehearsal")

    async def step(self) -> list[Message]:
        """Handle one batch and give what it publishes."""
        batch, self._published, published = self._batch(), [], self._published
        committed = await self._dispatcher.handle(batch, self._leases, published)
        assert not committed.parked
        assert not committed.dead
        for partition, position in batch.offsets.items():
            self._leases[partition].next = position
        self._published = [row.id for row in committed.outbox]
        self.outcomes += [await self._perform(call) for call in committed.calls]
        return [message for row in committed.outbox for message in unpack(row.messages)]

    def _batch(self) -> Batch:
        batch = Batch()
        batch.items, self.outcomes = self.outcomes[:BATCH], self.outcomes[BATCH:]
        records, self.waiting = self.waiting[:BATCH], self.waiting[BATCH:]
        for record in records:
            item = read_item(record, self.events[record.partition.topic])
            assert not isinstance(item, Poison)
            batch.items.append(item)
            batch.offsets[record.partition] = Position(record.offset + 1)
        return batch

    async def _perform(self, call: CallRow) -> WorkItem:
        request = msgspec.json.decode(call.request)
        result = await self.service.calls[call.kind].port.perform(request, call.id)
        return outcome_item(call.shard, call.id, CallOutcome(call.kind, call.key, request, result))


class Rehearsal:
    """The flow in one process. `messages` are all that was published, by topic."""

    def __init__(self, flow: OrderFlow, dsns: Mapping[str, str]) -> None:
        self.stages = {name: Stage(flow, name, dsn) for name, dsn in dsns.items()}
        self.messages: dict[str, list[Message]] = defaultdict(list)
        self._partitions = {topic.name: topic.partitions for topic in flow_topics(flow)}
        self._next: dict[Partition, int] = defaultdict(int)

    async def run(self, orders: Iterable[Sequence[Placed]]) -> None:
        """Bring these batches of orders to their end."""
        for stage in self.stages.values():
            await stage.start(self._partitions)
        entry = self.stages["order"]
        topic = next(iter(entry.events))
        intake = CommandBus(
            entry.service.commands,
            entry.store,
            entry.publisher,
            lambda _: None,
            lambda _: None,
            lambda _: None,
            TRACER,
            timeout=30,
        )
        running = asyncio.create_task(intake.run(shards_of(topic, self._partitions[topic])))
        published: list[int] = []
        for batch in orders:
            published = await self._place(intake, batch, published)
            while any(stage.waiting or stage.outcomes for stage in self.stages.values()):
                for stage in self.stages.values():
                    if stage.waiting or stage.outcomes:
                        self._deliver(await stage.step())
        running.cancel()
        for stage in self.stages.values():
            await stage.store.stop()

    async def _place(self, intake: CommandBus, orders: Sequence[Placed], published: list[int]) -> list[int]:
        """Place orders as the API does, and publish them as the relay does."""
        requests = [KeyedOrderRequest.model_validate_json(order.keyed) for order in orders]
        await intake.submit_all([Place(request.created(request.idempotency_key)) for request in requests])
        shards = self.stages["order"]._leases
        rows = await self.stages["order"].store.backlog(shards, True, published, [])
        self._deliver([message for row in rows for message in unpack(row.messages)])
        return [row.id for row in rows]

    def _deliver(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self.messages[message.topic].append(message)
            partition = Partition(message.topic, partition_of(message.key or b"", self._partitions[message.topic]))
            offset, self._next[partition] = self._next[partition], self._next[partition] + 1
            record = Record(partition, offset, message.key, message.headers, message.value)
            for stage in self.stages.values():
                if message.topic in stage.events:
                    stage.waiting.append(record)
