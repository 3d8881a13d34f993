"""What a service is made of: an explicit table of plain handlers. Every service's `__main__` builds one `Service`.

Handlers are set-based: they get the events of one type, at most one per key, and give back the events to publish.
They run inside the batch's transaction and may run again after a roll-back, so their only effects go through `tx`.
Authors import these names from `orderflow_runtime`. The examples go on from the service of `docs/services.md`.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from starlette.types import ASGIApp

from orderflow_contracts.event import Event
from orderflow_runtime.command import Command, Intake, Reply, Submitted

E = TypeVar("E", bound=Event)
E_co = TypeVar("E_co", bound=Event, covariant=True)


@dataclass(frozen=True, slots=True)
class Received(Generic[E_co]):
    """An event as a handler sees it.

    Args:
        event: The event, decoded and of this version.
        id: The id that its source gave it.
        time: When it happened, as its source says; with a time zone.
        replies: What the service's recipient answered it with, if it has one.

    Example:
        >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
        >>> order = Received(OrderCompleted(order_id="o1", amount=1250), id="e1", time=noon)
        >>> order.key, order.event.amount
        ('o1', 1250)
    """

    event: E_co
    id: str
    time: datetime
    replies: Sequence[Event] = ()

    @property
    def key(self) -> str:
        """Return the record key."""
        return self.event.key


@dataclass(frozen=True, slots=True)
class Fired:
    """A timer that fell due.

    Args:
        name: The timer's name, by which `Service.timers` has its handler.
        key: The key that it was set for.
        payload: What was given to `Transaction.set_timer`, as JSON gives it back.

    Example:
        >>> async def expire(timers: Sequence[Fired], tx: Transaction) -> list[Event]:
        ...     await tx.execute("DELETE FROM points WHERE order_id = ANY($1)", [timer.key for timer in timers])
        ...     return []
        >>> expiring = replace(rewards, timers={"expiry": expire})
    """

    name: str
    key: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """The known result of a call to the outside.

    Args:
        kind: The call's kind, by which `Service.calls` has its port and handler.
        key: The key that it belongs to.
        request: What was given to `Transaction.call`, as JSON gives it back.
        result: What `Port.perform` or `Port.lookup` gave.

    Example:
        >>> async def note_coupons(outcomes: Sequence[CallOutcome], tx: Transaction) -> list[Event]:
        ...     codes = [outcome.result["code"] for outcome in outcomes]
        ...     await tx.execute("INSERT INTO coupon (code) SELECT unnest($1::text[])", codes)
        ...     return []
    """

    kind: str
    key: str
    request: dict[str, Any]
    result: dict[str, Any]


class Transaction(Protocol):
    """The batch's transaction, a handler's one way to have an effect.

    Statements run at once. Timers and calls are written with the batch and start after its commit.

    Example:
        >>> async def grant_for_a_year(orders: Sequence[Received[OrderCompleted]], tx: Transaction) -> list[Event]:
        ...     for order in orders:
        ...         tx.set_timer("expiry", order.key, after=timedelta(days=365))
        ...     return []
    """

    async def fetch(self, query: str, *args: object) -> Sequence[Mapping[str, Any]]:
        """Run a query in the transaction and return its rows, by column.

        Args:
            query: SQL, with `$1` for the first argument.
            args: The query's arguments; an array takes a list.
        """
        ...

    async def execute(self, query: str, *args: object) -> None:
        """Run a statement in the transaction. With arguments it goes to Postgres with the next query, or with COMMIT.

        What Postgres finds wrong with it is raised then, and is the batch's failure all the same.

        Args:
            query: SQL, with `$1` for the first argument.
            args: The statement's arguments; an array takes a list.
        """
        ...

    async def copy(self, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
        """Add rows to a table by COPY: of many it takes half the time that INSERT takes, and none may be there already.

        Args:
            table: The table's name, in the service's schema.
            columns: The columns that are given; the others get their defaults.
            rows: A value for each of these columns, of the type that asyncpg has for the column's.
        """
        ...

    def set_timer(self, name: str, key: str, after: timedelta, payload: Mapping[str, Any] | None = None) -> None:
        """Let a timer fall due once; set again, it moves.

        Args:
            name: Its name, one of `Service.timers`.
            key: The key that it belongs to; name and key together tell it from others.
            after: From now, by the database's clock.
            payload: What its handler gets, as JSON.
        """
        ...

    def cancel_timer(self, name: str, key: str) -> None:
        """Take a timer back, if it is set.

        Args:
            name: Its name.
            key: The key that it was set for.
        """
        ...

    def call(self, kind: str, key: str, request: Mapping[str, Any], idempotency_key: str) -> None:
        """Record the intent of a call to the outside; it is performed after commit, its outcome handled once.

        Args:
            kind: Its kind, one of `Service.calls`.
            key: The key that it belongs to.
            request: What `Port.perform` gets, as JSON.
            idempotency_key: What the other side tells this call from others by; used again, it is the same call.
        """
        ...


EventHandler = Callable[[Sequence[Received[Any]], Transaction], Awaitable[Iterable[Event]]]
"""Handles events of one type, at most one of a key, and returns the events to publish.

Example:
    >>> handlers: Mapping[type[Event], EventHandler] = {OrderCompleted: grant}
"""
TimerHandler = Callable[[Sequence[Fired], Transaction], Awaitable[Iterable[Event]]]
"""Handles timers of one name that fell due, and returns the events to publish.

Example:
    >>> async def expire(timers: Sequence[Fired], tx: Transaction) -> list[Event]:
    ...     return [PointsGranted(order_id=timer.key, points=0) for timer in timers]
    >>> timers: Mapping[str, TimerHandler] = {"expiry": expire}
"""
OutcomeHandler = Callable[[Sequence[CallOutcome], Transaction], Awaitable[Iterable[Event]]]
"""Handles outcomes of calls of one kind, and returns the events to publish.

Example:
    >>> async def ignore(outcomes: Sequence[CallOutcome], tx: Transaction) -> list[Event]:
    ...     return []
    >>> handler: OutcomeHandler = ignore
"""
CommandHandler = Callable[[Sequence[Submitted[Any]], Transaction], Awaitable[Sequence[Reply[Any]]]]
"""Handles commands of one kind, at most one of a key, and returns their replies in the order of the commands.

Example:
    >>> async def redeem(commands: Sequence[Submitted[Redeem]], tx: Transaction) -> list[Reply[str]]:
    ...     return [Reply(f"{one.command.points} points of {one.key}") for one in commands]
    >>> redeeming = replace(rewards, commands={Redeem: redeem})
"""


class OutcomeUnknownError(Exception):
    """A call may or may not have happened. The runtime asks `Port.lookup` with the same key, and never assumes.

    Example:
        >>> def coupon(status: int, body: dict[str, Any]) -> dict[str, Any]:
        ...     if status >= 500:
        ...         raise OutcomeUnknownError(f"the coupon office answered {status}")
        ...     return {"code": body["code"]}
        >>> coupon(503, {})
        Traceback (most recent call last):
        orderflow_runtime.service.OutcomeUnknownError: the coupon office answered 503
    """


class Port(Protocol):
    """A way to the outside, for calls of one kind.

    Example:
        >>> class Coupons:
        ...     def __init__(self) -> None:
        ...         self._made: dict[str, dict[str, Any]] = {}
        ...
        ...     async def perform(self, request: Mapping[str, Any], idempotency_key: str) -> dict[str, Any]:
        ...         return self._made.setdefault(idempotency_key, {"code": f"C{len(self._made)}"})
        ...
        ...     async def lookup(self, idempotency_key: str) -> dict[str, Any] | None:
        ...         return self._made.get(idempotency_key)
        >>> coupons: Port = Coupons()
    """

    async def perform(self, request: Mapping[str, Any], idempotency_key: str) -> dict[str, Any]:
        """Do it, once per key, and return the result, which JSON can hold.

        Args:
            request: What the handler asked for.
            idempotency_key: What the other side is to know the call by.

        Raises:
            OutcomeUnknownError: Whether it was done cannot be told. Any other exception is taken for the same.
        """
        ...

    async def lookup(self, idempotency_key: str) -> dict[str, Any] | None:
        """Return the result of an earlier `perform`, or None when it surely never arrived.

        Args:
            idempotency_key: What the other side knows the call by.

        Raises:
            OutcomeUnknownError: It cannot be told.
        """
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of call to the outside.

    Args:
        port: What performs it, after the commit of the batch that asked for it.
        handler: What handles its outcome, in a batch of its own.

    Example:
        >>> class NoCoupons:
        ...     async def perform(self, request: Mapping[str, Any], idempotency_key: str) -> dict[str, Any]:
        ...         return {"code": None}
        ...
        ...     async def lookup(self, idempotency_key: str) -> dict[str, Any] | None:
        ...         return None
        >>> async def ignore(outcomes: Sequence[CallOutcome], tx: Transaction) -> list[Event]:
        ...     return []
        >>> calling = replace(rewards, calls={"coupon": Call(NoCoupons(), ignore)})
    """

    port: Port
    handler: OutcomeHandler


class EventTooLargeError(Exception):
    """A handler made an event that its topic would not take: put large content elsewhere and publish where it is.

    An event's JSON may have 900,000 bytes, and no more than the resource lets its topic take.
    """


class Verdict(StrEnum):
    """What is to become of an event that the recipient did not take.

    RETRY: it is tried again, as the resource's `delivery` says. REFUSE: it goes to the dead letters at once. DROP: it
    is given up without a dead letter, which is counted and journalled. WAIT: nothing is known
    yet; of the runtime alone.

    Example:
        >>> NotTakenError("the partner answered 400", Verdict.REFUSE).verdict
        <Verdict.REFUSE: 'Refuse'>
    """

    RETRY = "Retry"
    REFUSE = "Refuse"
    DROP = "Drop"
    WAIT = "Wait"


class NotTakenError(Exception):
    """A recipient did not take an event. The words are stored and logged: nothing personal may stand in them.

    Args:
        reason: Why, in words.
        verdict: What is to become of the event.
        after: How many seconds to wait at the least before it is tried again.

    Example:
        >>> def check(status: int) -> None:
        ...     if status >= 400:
        ...         raise NotTakenError(f"the partner answered {status}", Verdict.REFUSE)
        >>> check(404)
        Traceback (most recent call last):
        orderflow_runtime.service.NotTakenError: the partner answered 404
    """

    def __init__(self, reason: str, verdict: Verdict = Verdict.RETRY, after: float = 0) -> None:
        super().__init__(reason)
        self.verdict = verdict
        self.after = after


@dataclass(frozen=True, slots=True)
class Handed:
    """An event as a recipient gets it.

    Args:
        received: The event.
        type: Its name in the resource.
        trace: The headers that carry on its trace, `traceparent` and `tracestate`, as far as there are any.
        attempts: How many attempts have failed.

    Example:
        >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
        >>> order = Received(OrderCompleted(order_id="o1", amount=1250), id="e1", time=noon)
        >>> Handed(order, "ORDER_COMPLETED").id
        'e1'
    """

    received: Received[Any]
    type: str
    trace: Mapping[str, str] = field(default_factory=dict)
    attempts: int = 0

    @property
    def id(self) -> str:
        """Return the event's id, by which the other side knows a repeat."""
        return self.received.id


class Recipient(Protocol):
    """Somebody to whom a service's events are handed before its handlers, outside of any transaction.

    At least once: an event whose batch is not committed is handed over again, under the same id. What it answers with
    is committed with the event, and so published once. Events of a key are handed over one after the other.

    Example:
        >>> class Partner:
        ...     kind, at_once, together, obstacle = "partner", 10, 1, ""
        ...
        ...     async def start(self) -> None:
        ...         pass
        ...
        ...     async def hand(self, events: Sequence[Handed]) -> Sequence[Event]:
        ...         return [PointsGranted(order_id=one.received.key, points=1) for one in events]
        >>> async def publish(orders: Sequence[Received[OrderCompleted]], tx: Transaction) -> list[Event]:
        ...     return [reply for order in orders for reply in order.replies]
        >>> handing = replace(rewards, handlers={OrderCompleted: publish}, recipient=Partner())
    """

    @property
    def kind(self) -> str:
        """What it is called in metrics."""
        ...

    @property
    def at_once(self) -> int:
        """How many requests may be under way."""
        ...

    @property
    def together(self) -> int:
        """How many events one request may hold; several may be of one key, in their order."""
        ...

    @property
    def obstacle(self) -> str:
        """Why it takes nothing now, in words; nothing when it does."""
        ...

    async def start(self) -> None:
        """Wait until it can take events: none is fetched before."""
        ...

    async def hand(self, events: Sequence[Handed]) -> Sequence[Event]:
        """Hand events over and return what is answered, for their handlers. It bounds its own time.

        Args:
            events: As many as `together`, or fewer.

        Raises:
            NotTakenError: They were not taken. Any other exception is one more reason to try again.
        """
        ...


@dataclass(frozen=True, slots=True)
class Measure:
    """A gauge that the database knows.

    It may scan a table: the slower it is, the less often it is asked (`database_gauges.py`).

    Args:
        name: The metric's name, by Prometheus's rules.
        help: What it says, for people.
        query: SQL whose rows have a column `value`; all their other columns are labels. A row whose value is NULL is
            left out.

    Example:
        >>> SUM = "SELECT coalesce(sum(points), 0) AS value FROM points"
        >>> POINTS = Measure("rewards_points", "Points granted so far", SUM)
        >>> measured = replace(rewards, measures=(POINTS,))
    """

    name: str
    help: str
    query: str


@dataclass(frozen=True)
class Service:
    """A service: what it handles and publishes. Its matrix must equal the resource's, or it refuses to start.

    Args:
        name: Its name in the resource.
        handlers: The handler of each event that it subscribes to.
        publishes: The events that its handlers give back.
        timers: The handler of each timer, by name.
        calls: The port and the handler of each kind of call to the outside.
        commands: The handler of each kind of command.
        app: Makes its HTTP API, an ASGI application; it needs `commands`.
        close: Awaited at the end, for what the ports hold open.
        measures: What to tell of its own tables, for dashboards and alerts.
        recipient: To whom its events are handed before its handlers get them, with the replies.
        began: Query of the times at which runs began: rows (key, began) for the keys `$1::text[]`; of a service that
            ends runs.

    Example:
        >>> service = Service(name="rewards", handlers={OrderCompleted: grant}, publishes=frozenset({PointsGranted}))
    """

    name: str
    handlers: Mapping[type[Event], EventHandler] = field(default_factory=dict)
    publishes: frozenset[type[Event]] = frozenset()
    timers: Mapping[str, TimerHandler] = field(default_factory=dict)
    calls: Mapping[str, Call] = field(default_factory=dict)
    commands: Mapping[type[Command[Any]], CommandHandler] = field(default_factory=dict)
    app: Callable[[Intake], ASGIApp] | None = None
    close: Callable[[], Awaitable[None]] | None = None
    measures: Sequence[Measure] = ()
    recipient: Recipient | None = None
    began: str = ""


def each(
    handle: Callable[[Received[E], Transaction], Awaitable[Iterable[Event]]],
) -> Callable[[Sequence[Received[E]], Transaction], Awaitable[Iterable[Event]]]:
    """Return a set-based handler of one that takes a single event, for services where volume does not matter.

    Args:
        handle: What handles one event and returns the events to publish.

    Example:
        >>> async def grant_one(order: Received[OrderCompleted], tx: Transaction) -> list[Event]:
        ...     await tx.execute("INSERT INTO points (order_id) VALUES ($1)", order.key)
        ...     return [PointsGranted(order_id=order.key, points=1)]
        >>> simple = replace(rewards, handlers={OrderCompleted: each(grant_one)})
    """

    async def handle_all(events: Sequence[Received[E]], tx: Transaction) -> Iterable[Event]:
        return [published for event in events for published in await handle(event, tx)]

    return handle_all
