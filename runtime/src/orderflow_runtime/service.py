"""What a service is made of: an explicit table of plain handlers. Every service's `__main__` builds one `Service`.

Handlers are set-based: they get the events of one type, at most one per key, and give back the events to publish.
They run inside the batch's transaction and may run again after a roll-back, so their only effects go through `tx`.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar

from starlette.types import ASGIApp

from orderflow_contracts.event import Event

E = TypeVar("E", bound=Event)
E_co = TypeVar("E_co", bound=Event, covariant=True)


@dataclass(frozen=True, slots=True)
class Received(Generic[E_co]):
    """An event as a handler sees it. `time` is the event's own."""

    event: E_co
    id: str
    time: datetime

    @property
    def key(self) -> str:
        """The record key."""
        return self.event.key


@dataclass(frozen=True, slots=True)
class Fired:
    """A timer that fell due."""

    name: str
    key: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """The known result of a call to the outside, as `perform` or `lookup` gave it."""

    kind: str
    key: str
    request: dict[str, Any]
    result: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Command:
    """A request from HTTP. `payload` is what the endpoint gave to `Intake.submit`."""

    key: str
    payload: Any
    trace: str | None = None
    """The trace that it begins or carries on, to be kept with what it begins: a later command's reply names it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a command handler answers: a value for the endpoint, the events to publish, and the trace they carry on.

    `trace` is that of an earlier command, where this one continues what that began; else it is this command's own.
    """

    value: Any
    publish: tuple[Event, ...] = ()
    trace: str | None = None


class Transaction(Protocol):
    """The batch's transaction. Timers and calls are written with the batch and start after its commit."""

    async def fetch(self, query: str, *args: object) -> Sequence[Mapping[str, Any]]:
        """Run a query in the transaction and give its rows."""
        ...

    async def execute(self, query: str, *args: object) -> None:
        """Run a statement in the transaction."""
        ...

    def set_timer(self, name: str, key: str, after: timedelta, payload: Mapping[str, Any] | None = None) -> None:
        """Fire `name` for `key` once, `after` from now by the database's clock; a later call moves it."""
        ...

    def cancel_timer(self, name: str, key: str) -> None:
        """Take the timer back, if it is set."""
        ...

    def call(self, kind: str, key: str, request: Mapping[str, Any], idempotency_key: str) -> None:
        """Record the intent of a call to the outside; it is performed after commit, its outcome handled once."""
        ...


EventHandler = Callable[[Sequence[Received[Any]], Transaction], Awaitable[Iterable[Event]]]
TimerHandler = Callable[[Sequence[Fired], Transaction], Awaitable[Iterable[Event]]]
OutcomeHandler = Callable[[Sequence[CallOutcome], Transaction], Awaitable[Iterable[Event]]]
CommandHandler = Callable[[Sequence[Command], Transaction], Awaitable[Sequence[Reply]]]


class OutcomeUnknown(Exception):  # noqa: N818  (it is a state of knowledge, not a fault)
    """A call may or may not have happened. The runtime asks `lookup` with the same key, and never assumes."""


class Port(Protocol):
    """A way to the outside. Both methods raise `OutcomeUnknown` when they cannot tell."""

    async def perform(self, request: Mapping[str, Any], idempotency_key: str) -> dict[str, Any]:
        """Do it, once per key, and give the result."""
        ...

    async def lookup(self, idempotency_key: str) -> dict[str, Any] | None:
        """Give the result of an earlier `perform`, or None when it surely never arrived."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of call: the port that performs it and the handler of its outcome."""

    port: Port
    handler: OutcomeHandler


class EventTooLarge(Exception):  # noqa: N818  (it says what the event is)
    """A handler made an event that its topic would not take: put large content elsewhere and publish where it is."""


class Unavailable(Exception):  # noqa: N818  (it is a state, and passes)
    """The command was not committed, or whether it was is not known: the client may repeat it with its same key."""


class Intake(Protocol):
    """Where HTTP endpoints hand in commands: those that come together share one transaction."""

    async def submit(self, name: str, key: str, payload: Any) -> Any:
        """Run the command handler `name` and give its reply's value, after commit."""
        ...

    async def submit_all(self, name: str, commands: Sequence[tuple[str, Any]]) -> Sequence[Any]:
        """The same for many (key, payload) at once; the answers come in the order given."""
        ...

    async def read(self, query: str, *args: object) -> Sequence[Mapping[str, Any]]:
        """Query the service's own tables, outside any batch."""
        ...


@dataclass(frozen=True, slots=True)
class Measure:
    """A gauge that the database knows: `query` gives rows of a column `value`; all their other columns are labels.

    It may scan a table: the slower it is, the less often it is asked (`database_gauges.py`).
    """

    name: str
    help: str
    query: str


@dataclass(frozen=True)
class Service:
    """A service: what it handles and publishes. Its matrix must equal the resource's, or it refuses to start."""

    name: str
    handlers: Mapping[type[Event], EventHandler] = field(default_factory=dict)
    publishes: frozenset[type[Event]] = frozenset()
    timers: Mapping[str, TimerHandler] = field(default_factory=dict)
    calls: Mapping[str, Call] = field(default_factory=dict)
    commands: Mapping[str, CommandHandler] = field(default_factory=dict)
    app: Callable[[Intake], ASGIApp] | None = None
    close: Callable[[], Awaitable[None]] | None = None
    """Awaited at the end, for what the ports hold open."""
    measures: Sequence[Measure] = ()
    """What to tell of the service's own tables, for dashboards and alerts."""
    began: str = ""
    """Query of the times at which runs began: rows (key, began) for the keys $1::text[]. For services that end runs."""


def each(
    handle: Callable[[Received[E], Transaction], Awaitable[Iterable[Event]]],
) -> Callable[[Sequence[Received[E]], Transaction], Awaitable[Iterable[Event]]]:
    """Make a set-based handler of one that takes a single event, for services where volume does not matter."""

    async def handle_all(events: Sequence[Received[E]], tx: Transaction) -> Iterable[Event]:
        return [published for event in events for published in await handle(event, tx)]

    return handle_all
