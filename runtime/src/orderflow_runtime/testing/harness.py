"""A whole service in a test: the parts that it has in production over doubles of Kafka and Postgres, without a port.

A test sends events, waits until all that follows has happened, and looks at what was committed and published.
"""

import asyncio
import itertools
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from orderflow_contracts.envelope import Envelope
from orderflow_contracts.event import Event
from orderflow_model.names import dead_letter_topic_name, group_name, topic_name
from orderflow_model.service_config import Channel, DeliveryConfig, ServiceConfig
from orderflow_runtime.command import Intake
from orderflow_runtime.core.event_log import Message, Partition
from orderflow_runtime.core.isolation import run_isolated
from orderflow_runtime.core.store import DeadLetter
from orderflow_runtime.ending import Ending
from orderflow_runtime.postgres.lock_membership import SHARDS, LockedShards
from orderflow_runtime.process import Process
from orderflow_runtime.service import Service
from orderflow_runtime.settings import Settings
from orderflow_runtime.testing.clock import FakeClock
from orderflow_runtime.testing.faults import Faults
from orderflow_runtime.testing.memory_log import MemoryCluster, MemoryLog
from orderflow_runtime.testing.memory_store import MemoryStore
from orderflow_runtime.testing.running_handlers import RunningHandlers

E = TypeVar("E", bound=Event)

FLOW = "test"
_PARTITIONS = 2
_QUICK = DeliveryConfig(delay_ms=1, max_delay_ms=5, timeout_ms=4_000)
"""As often as the resource's defaults have it, and at once; on doubles no handler needs long."""
_LOOK_SECONDS = 0.002
_CLOSE_SECONDS = 5.0
_STOP_SECONDS = 15.0
"""A worker gives up its batch and what is to be published sooner."""


class NotSettledError(AssertionError):
    """What was sent still has consequences to come; the message says which.

    Example:
        >>> async def has_ended(harness: Harness) -> bool:
        ...     try:
        ...         await harness.settle(seconds=0.1)
        ...     except NotSettledError:
        ...         return False
        ...     return True
    """


class Harness:
    """A service that runs from `async with` to its end. A batch that fails is tried as often as by default, at once.

    A call of a handler may take 4 s. One that has not ended with the block fails the test, by `NotSettledError`.

    Its parts may be looked at and meddled with: `store` (what queries find, what is committed), `cluster` (the topics),
    `clock`, and `faults` (what goes wrong, by step).

    Args:
        service: The service, as `build` makes it.

    Example:
        >>> async def points_of(amount: int) -> list[int]:
        ...     async with Harness(rewards) as harness:
        ...         harness.send(OrderCompleted(order_id="o1", amount=amount))
        ...         await harness.settle()
        ...         return [granted.points for granted in harness.published(PointsGranted)]
        >>> asyncio.run(points_of(1250))
        [12]
    """

    def __init__(self, service: Service) -> None:
        self.clock = FakeClock()
        self.faults = Faults()
        self.store = MemoryStore(self.clock.seconds, self.faults)
        self._service = service
        self._config = _config(service)
        self._channels = {c.event: c.topic for c in (*self._config.subscribes, *self._config.publishes)}
        self._subscribed = [channel.topic for channel in self._config.subscribes]
        topics = dict.fromkeys(self._channels.values(), _PARTITIONS)
        self.cluster = MemoryCluster(topics | {self._config.dead_letter_topic: 1, LockedShards.TOPIC: SHARDS})
        self._log = MemoryLog(
            self.cluster, self._config.group, self._subscribed or [LockedShards.TOPIC], faults=self.faults
        )
        self._ending = Ending()
        self._handlers = RunningHandlers()
        watched = self._handlers.watched(service)
        self._process = Process(watched, Settings(self._config, {}), self._log, self._log, self.store, self.clock)
        self._running: asyncio.Task[None] | None = None
        self._numbers = itertools.count(1)

    async def __aenter__(self) -> Self:
        if self._running is not None:
            raise RuntimeError("a harness runs its service once; make another")
        self._running = asyncio.create_task(self._process.work(self._ending))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        working = self._working
        self._handlers.cut.clear()
        self._ending.ask()
        done, _ = await asyncio.wait({working}, timeout=_STOP_SECONDS)
        working.cancel()
        await self._log.stop()
        is_closed = await self._close()
        if error is not None:
            return
        unfinished = {*self._handlers.cut, *self._handlers.names}
        if not is_closed:
            unfinished.add("the service's `close`")
        if not done and not unfinished:
            unfinished.add("a port of the service")
        if unfinished:
            raise NotSettledError(f"{', '.join(sorted(unfinished))} had not ended when the test did")
        working.result()

    async def _close(self) -> bool:
        """Close what the ports hold open; return whether that ended."""
        if self._service.close is None:
            return True
        closing = asyncio.create_task(run_isolated(self._service.close))
        done, _ = await asyncio.wait({closing}, timeout=_CLOSE_SECONDS)
        closing.cancel()
        if done:
            closing.result()
        return bool(done)

    def send(self, event: Event, event_id: str | None = None) -> str:
        """Put an event on its topic, as another service would, and return its id.

        Args:
            event: The event, of a type that the service handles.
            event_id: The id to give it; one that was sent before makes it a repeat. None: a new one.

        Raises:
            LookupError: The service does not handle such events.
        """
        if type(event) not in self._service.handlers:
            raise LookupError(f"service {self._service.name} does not handle {event.TYPE}")
        event_id = event_id or f"sent-{next(self._numbers)}"
        envelope = Envelope(event_id, f"/{FLOW}/sender", event.TYPE, self.clock.now(), event.VERSION)
        topic = self._channels[event.TYPE]
        self.cluster.append(Message(topic, event.key.encode(), envelope.headers(), event.encode()))
        return event_id

    @property
    def intake(self) -> Intake:
        """Return where commands are handed in, also for the service's own `app`.

        Raises `LookupError` when the service has no commands, `RuntimeError` outside of `async with`.
        """
        _ = self._working
        if self._process.commands is None:
            raise LookupError(f"service {self._service.name} has no commands")
        return self._process.commands

    async def settle(self, seconds: float = 10) -> None:
        """Wait until all is handled, published and answered, and nothing is due: by then all has happened.

        Args:
            seconds: How long that may take.

        Raises:
            NotSettledError: It took longer.
            RuntimeError: The service does not run: this is not within `async with`.
        """
        working = self._working
        try:
            async with asyncio.timeout(seconds):
                while self._left() and not working.done():
                    self._process.look()
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            running = "".join(f"; {name} has not ended" for name in self._handlers.names)
            raise NotSettledError(f"after {seconds} s there are still {self._left()}{running}") from None
        if working.done():
            working.result()

    def advance(self, by: timedelta) -> None:
        """Move the time, so that timers come due; `settle` waits for what they do.

        Args:
            by: How far.
        """
        self.clock.advance(by)

    def published(self, event: type[E]) -> list[E]:
        """Return what the service has published of a type, in order by key; what was published twice counts once.

        Args:
            event: The type.

        Raises:
            LookupError: The service does not publish such events.
        """
        if event not in self._service.publishes:
            raise LookupError(f"service {self._service.name} does not publish {event.TYPE}")
        records = self.cluster.records_of(self._channels[event.TYPE])
        by_id = {dict(record.headers)["ce_id"]: record for record in records}
        return [event.decode(record.value or b"", event.VERSION) for record in by_id.values()]

    @property
    def statements(self) -> list[tuple[str, tuple[Any, ...]]]:
        """Return the handlers' statements and their arguments that are committed, in order."""
        return self.store.state.statements

    @property
    def dead_letters(self) -> list[DeadLetter]:
        """Return the events that were given up, with `key`, `type`, `reason` and `attempts`."""
        return [row.letter for row in self.store.state.dead.values()]

    @property
    def _working(self) -> "asyncio.Task[None]":
        if self._running is None or self._ending.asked:
            raise RuntimeError("the service runs within `async with Harness(service) as harness`, and only there")
        return self._running

    def _left(self) -> str:
        state, now = self.store.state, self.clock.seconds()
        left = {
            "records to handle": sum(map(self._unread, self._subscribed)),
            "events that wait for an attempt": len(state.parked),
            "timers due": sum(due <= now for _, due, *_ in state.timers.values()),
            "calls without an outcome": len(state.calls),
            "batches to publish": len(state.outbox),
        }
        return ", ".join(f"{count} {what}" for what, count in left.items() if count)

    def _unread(self, topic: str) -> int:
        partitions = [Partition(topic, number) for number in range(_PARTITIONS)]
        offsets = {p: row.next.offset for p, row in self.store.state.offsets.items()}
        return sum(len(self.cluster.records[p]) - offsets.get(p, 0) for p in partitions)


def _config(service: Service) -> ServiceConfig:
    """Return what the service would be told by a resource that fits it."""
    return ServiceConfig(
        flow=FLOW,
        service=service.name,
        group=group_name(FLOW, service.name),
        dead_letter_topic=dead_letter_topic_name(FLOW, service.name),
        subscribes=tuple(Channel(event=event.TYPE, topic=topic_name(FLOW, event.TYPE)) for event in service.handlers),
        publishes=tuple(Channel(event=event.TYPE, topic=topic_name(FLOW, event.TYPE)) for event in service.publishes),
        delivery=_QUICK,
        inbox_days=1,
    )
