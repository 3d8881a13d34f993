"""A service with one table that does to each event what the event says: the runtime's tests run it.

Its handlers speak SQL that Postgres runs and that `MemoryStore` only notes, so both tiers share it.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, ClassVar

from orderflow_contracts.event import Event
from orderflow_model.service_config import Channel, DeliveryConfig, ServiceConfig
from orderflow_runtime.command import Command, Reply, Submitted
from orderflow_runtime.service import Call, CallOutcome, Fired, OutcomeUnknownError, Received, Service, Transaction

EFFECT = "INSERT INTO effects (key, what) SELECT * FROM unnest($1::text[], $2::text[])"


class Keyed(Event):
    """An event of one key; `n` tells events apart, `do` tells the handler what to do."""

    thing: str
    n: int = 0
    do: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The thing's name."""
        return self.thing


class Put(Keyed):
    """Leave an effect."""

    TYPE: ClassVar[str] = "PUT"


class Pat(Keyed):
    """Leave an effect, from another topic."""

    TYPE: ClassVar[str] = "PAT"


class Done(Keyed):
    """An effect was left."""

    TYPE: ClassVar[str] = "DONE"


@dataclass(frozen=True, slots=True)
class Do(Command[int]):
    """Leave an effect, by hand."""

    NAME = "do"
    thing: str
    n: int

    @property
    def key(self) -> str:
        """Return the thing."""
        return self.thing


class Refused(Exception):  # noqa: N818 - what a handler says of an event
    """The handler does not take this event."""


@dataclass
class Outside:
    """A port that remembers; `answers` are given in order: a result, None (lost after doing it), or an error."""

    done: dict[str, dict[str, Any]] = field(default_factory=dict)
    performed: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    async def perform(self, request: Mapping[str, Any], idempotency_key: str) -> dict[str, Any]:
        """Do it once per key."""
        self.performed.append(idempotency_key)
        answer = self.answers.pop(0) if self.answers else "ok"
        if answer == "never arrived":
            raise OutcomeUnknownError(answer)
        result = self.done.setdefault(idempotency_key, {"for": request["n"]})
        if answer == "lost":
            raise OutcomeUnknownError(answer)
        return result

    async def lookup(self, idempotency_key: str) -> dict[str, Any] | None:
        """Give what was done."""
        self.asked.append(idempotency_key)
        answer = self.answers.pop(0) if self.answers else "ok"
        if answer == "cannot tell":
            raise OutcomeUnknownError(answer)
        return self.done.get(idempotency_key)


@dataclass
class Script:
    """What the handlers did and shall do: `refuse` holds (thing, n) that fail, each as often as it says."""

    refuse: dict[tuple[str, int], int] = field(default_factory=dict)
    tried: list[tuple[str, int]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    pause: Callable[[], Awaitable[None]] | None = None

    def check(self, thing: str, n: int) -> None:
        """Fail if the script says so."""
        self.tried.append((thing, n))
        left = self.refuse.get((thing, n), 0)
        if left:
            self.refuse[thing, n] = left - 1
            raise Refused(f"{thing} {n}")


def source_service(script: Script, outside: Outside | None = None, **parts: Any) -> Service:
    """Give the service without its handlers of events: it only publishes."""
    return replace(sample_service(script, outside), name="source", handlers={}, **parts)


def sample_service(script: Script, outside: Outside | None = None, **parts: Any) -> Service:
    """Give the service; `parts` replace its own."""

    async def put(events: Sequence[Received[Any]], tx: Transaction) -> Iterable[Event]:
        script.sizes.append(len(events))
        await leave(tx, [(e.event.thing, f"{e.event.TYPE} {e.event.n}") for e in events])
        if script.pause is not None:
            await script.pause()
        for received in events:
            _do(received.event, tx)
            script.check(received.event.thing, received.event.n)
        return [Done(thing=e.event.thing, n=e.event.n) for e in events]

    async def fire(timers: Sequence[Fired], tx: Transaction) -> Iterable[Event]:
        await leave(tx, [(timer.key, f"timer {timer.payload['n']}") for timer in timers])
        for timer in timers:
            script.check(timer.key, -1)
        return [Done(thing=timer.key, n=-1) for timer in timers]

    async def know(outcomes: Sequence[CallOutcome], tx: Transaction) -> Iterable[Event]:
        await leave(tx, [(o.key, f"outcome {o.result['for']}") for o in outcomes])
        for outcome in outcomes:
            script.check(outcome.key, -2)
        return []

    async def do(commands: Sequence[Submitted[Do]], tx: Transaction) -> Sequence[Reply[int]]:
        await leave(tx, [(one.key, f"command {one.command.n}") for one in commands])
        for one in commands:
            script.check(one.key, one.command.n)
        return [Reply(one.command.n, (Done(thing=one.key, n=one.command.n),)) for one in commands]

    service = Service(
        name="sample",
        handlers={Put: put, Pat: put},
        publishes=frozenset({Done}),
        timers={"alarm": fire},
        calls={"outside": Call(outside or Outside(), know)},
        commands={Do: do},
    )
    return replace(service, **parts)


async def leave(tx: Transaction, effects: Sequence[tuple[str, str]]) -> None:
    """Write effects (key, what), in one statement."""
    await tx.execute(EFFECT, [key for key, _ in effects], [what for _, what in effects])


def _do(event: Keyed, tx: Transaction) -> None:
    for what in event.do:
        word, _, argument = what.partition(" ")
        if word == "set":
            tx.set_timer("alarm", event.thing, timedelta(seconds=float(argument)), {"n": event.n})
        elif word == "cancel":
            tx.cancel_timer("alarm", event.thing)
        elif word == "call":
            tx.call("outside", event.thing, {"n": event.n}, f"{event.thing}:{event.n}")


def sample_config(flow: str = "t", name: str = "sample", **delivery: Any) -> ServiceConfig:
    """Give the service's configuration, with short waits unless told otherwise."""
    quick = {"delay_ms": 1, "max_delay_ms": 5, "timeout_ms": 5_000, "retries": 3} | delivery
    return ServiceConfig(
        flow=flow,
        service=name,
        group=f"{flow}.{name}",
        dead_letter_topic=f"{flow}.{name}.dead-letters",
        subscribes=tuple(Channel(event=e.TYPE, topic=f"{flow}.{e.TYPE.lower()}") for e in (Put, Pat)),
        publishes=(Channel(event="DONE", topic=f"{flow}.done"),),
        delivery=DeliveryConfig(**quick),
        inbox_days=22,
    )
