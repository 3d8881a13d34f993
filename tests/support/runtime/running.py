"""One or more instances of the sample service over the memory ports, each a worker wired as `app.py` wires it."""

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from orderflow_contracts.envelope import Envelope, Header
from orderflow_contracts.event import Event
from orderflow_model.service_config import ServiceConfig
from orderflow_runtime.core.event_log import Message, Producer, Record, unpack
from orderflow_runtime.dispatch.effects import Publisher
from orderflow_runtime.dispatch.execution import HandlerPolicy, handler_table
from orderflow_runtime.dispatch.outbound_calls import OutboundCalls
from orderflow_runtime.dispatch.publications import Publications
from orderflow_runtime.dispatch.retry import RetryPolicy
from orderflow_runtime.dispatch.unsent import Unsent
from orderflow_runtime.observability.metrics import Metrics
from orderflow_runtime.observability.traced_messages import TracedDispatcher, TracedProducer
from orderflow_runtime.observability.traced_requests import traced_calls
from orderflow_runtime.testing.clock import FakeClock
from orderflow_runtime.testing.faults import Faults
from orderflow_runtime.testing.memory_log import MemoryCluster, MemoryLog
from orderflow_runtime.testing.memory_store import MemoryStore
from orderflow_runtime.tracing.span_queue import SpanQueue
from orderflow_runtime.tracing.tracer import Tracer
from orderflow_runtime.worker.batch_source import BatchSource
from orderflow_runtime.worker.worker import Parts, Worker
from support.runtime.sample_service import EFFECT, Done, Keyed, Outside, Pat, Put, Script, sample_config, sample_service

_NUMBERS = itertools.count(1)


@dataclass
class Instance:
    """A worker and its parts; `run` is its task."""

    worker: Worker
    log: MemoryLog
    outbound_calls: OutboundCalls
    source: BatchSource
    metrics: Metrics
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    run: "asyncio.Task[None] | None" = None

    def start(self) -> None:
        """Begin to work."""
        self.run = asyncio.create_task(self.worker.run(self.stopping))

    async def stop(self) -> None:
        """Stop gracefully."""
        self.stopping.set()
        self.source.wake()
        assert self.run is not None
        await asyncio.wait_for(self.run, 60)
        await self.log.stop()

    async def crash(self) -> None:
        """Be gone, in the middle of whatever is under way."""
        self.stopping.set()
        others = [m for m in self.log.cluster.groups[self.log.group] if m is not self.log]
        self.log.cluster.groups[self.log.group] = others
        for task in (self.run, self.worker._outbox._running, *(t for _, t in self.outbound_calls._running.values())):
            if task is not None:
                task.cancel()
                with suppress(BaseException):
                    await task


class Bench:
    """A cluster and a schema in memory, and the instances that share them."""

    def __init__(
        self,
        config: ServiceConfig | None = None,
        partitions: int = 2,
        now: Callable[[], float] = time.monotonic,
        spans: SpanQueue | None = None,
    ) -> None:
        self.config = config or sample_config()
        self.tracer = Tracer("t", self.config.tracing, spans)
        topics = {channel.topic: partitions for channel in (*self.config.subscribes, *self.config.publishes)}
        self.cluster = MemoryCluster(topics | {self.config.dead_letter_topic: 1})
        self.clock = FakeClock()
        self.faults = Faults()
        self.store = MemoryStore(now, self.faults)
        self.script = Script()
        self.outside = Outside()
        self.instances: list[Instance] = []

    def publications(self, producer: Producer) -> Publications:
        """Make what publishes the rows of an outbox."""
        dead_letter_topic = self.config.dead_letter_topic
        return Publications(
            producer, Unsent(self.store, self.config.service, dead_letter_topic).give_up, dead_letter_topic
        )

    def policy(self) -> HandlerPolicy:
        """Give the sample service's rules."""
        topics: dict[type[Event], str] = {Done: self.config.publishes[0].topic}
        return HandlerPolicy(
            self.config.service,
            self.config.dead_letter_topic,
            handler_table(sample_service(self.script, self.outside)),
            Publisher("/t/sample", topics, self.clock, self.tracer),
            RetryPolicy(self.config.delivery),
        )

    def instance(self, log_faults: Faults | None = None, *, calls_by_commands: bool = False) -> Instance:
        """Make an instance, not started."""
        policy, topics = self.policy(), [channel.topic for channel in self.config.subscribes]
        log = MemoryLog(self.cluster, self.config.group, topics, log_faults or self.faults)
        events: dict[str, type[Event]] = dict(zip(topics, (Put, Pat), strict=True))
        source = BatchSource(log, self.store, events)
        service = sample_service(self.script, self.outside)
        metrics = Metrics(self.clock.now)
        outbound_calls = OutboundCalls(
            traced_calls(service.calls, self.tracer), self.store, policy.retry, source.wake, metrics.called
        )
        parts = Parts(
            consumer=log,
            store=self.store,
            dispatcher=TracedDispatcher(policy, self.store, self.tracer, self.config.group),
            source=source,
            outbound_calls=outbound_calls,
            publications=self.publications(TracedProducer(log, self.tracer)),
            metrics=metrics,
            instance=f"i{len(self.instances)}",
            topics=tuple(topics),
            calls_by_commands=calls_by_commands,
        )
        self.instances.append(Instance(Worker(parts), log, outbound_calls, source, metrics))
        return self.instances[-1]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Instance]:
        """Run one instance, and stop it gracefully."""
        instance = self.instance()
        instance.start()
        try:
            yield instance
        finally:
            if instance.run is not None and not instance.run.done():
                await instance.stop()

    def send(self, event: Keyed, **changes: Any) -> Record:
        """Put an event on its topic."""
        return self.cluster.append(message(self.config, event, **changes))

    def effects(self) -> list[tuple[str, str]]:
        """Give the committed effects (key, what), in order."""
        return [
            pair
            for query, args in self.store.state.statements
            if query == EFFECT
            for pair in zip(args[0], args[1], strict=True)
        ]

    def effects_of(self, key: str) -> list[str]:
        """Give one key's effects."""
        return [what for of, what in self.effects() if of == key]

    def done(self) -> dict[str, list[int]]:
        """Give what was published for good: each event id once, by key, in the log's order."""
        seen: set[bytes] = set()
        found: defaultdict[str, list[int]] = defaultdict(list)
        for record in self.cluster.records_of(self.config.publishes[0].topic):
            event_id = dict(record.headers)["ce_id"]
            if event_id not in seen:
                seen.add(event_id)
                found[(record.key or b"").decode()].append(Done.decode(record.value or b"", 1).n)
        return dict(found)

    def letters(self) -> list[dict[str, Any]]:
        """Give the dead letters: their headers, `key` and `value`."""
        records = self.cluster.records_of(self.config.dead_letter_topic)
        return [dict(record.headers) | {"key": record.key, "value": record.value} for record in records]

    def owed(self) -> list[Message]:
        """Give what the outbox holds."""
        return [m for _, (_, _, messages) in sorted(self.store.state.outbox.items()) for m in unpack(messages)]

    async def until(self, condition: Callable[[], Any], what: str, seconds: float = 60) -> None:
        """Wait for a condition."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
            for instance in self.instances:
                if instance.run is not None and instance.run.done() and not instance.stopping.is_set():
                    instance.run.result()
            await asyncio.sleep(0.005)


def message(
    config: ServiceConfig,
    event: Keyed,
    event_id: str | None = None,
    headers: list[Header] | None = None,
    extra: list[Header] | None = None,
    key: bytes | None = None,
    value: bytes | None = None,
) -> Message:
    """Make an event's message, in whole or with parts of it changed."""
    topic = next(c.topic for c in (*config.subscribes, *config.publishes) if c.event == event.TYPE)
    envelope = Envelope(
        event_id or f"e-{next(_NUMBERS)}", "/test", event.TYPE, datetime.now(UTC) - timedelta(seconds=1)
    )
    ours = envelope.headers() if headers is None else headers
    return Message(topic, event.key.encode() if key is None else key, ours + (extra or []), value or event.encode())
