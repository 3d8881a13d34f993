"""What an author's code raises is its own failure: of its event, call, command or request, and of nothing beside it."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from pydantic import field_validator

from orderflow_contracts.envelope import Envelope
from orderflow_runtime import Event, Received, Service, Transaction
from orderflow_runtime.core.event_log import Message
from orderflow_runtime.testing import Harness
from support.runtime.sample_service import Do, Done, Outside, Put, Script, sample_service

STUCK: list[Any] = []


async def cancels() -> None:
    """Wait for an own task that was cancelled."""
    inner = asyncio.create_task(asyncio.sleep(60))
    inner.cancel()
    await inner


async def cancels_itself() -> None:
    """Ask its own task to end."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def leaves_a_time_out_open() -> None:
    """Enter a time-out and never leave it: it cancels the task that entered it, when it comes due."""
    limit = asyncio.timeout(0.01)
    await limit.__aenter__()
    STUCK.append(limit)
    raise ValueError("after a time-out was opened")


async def exits() -> None:
    """End the process."""
    raise SystemExit(3)


async def exits_in_a_task() -> None:
    """End the process from a task of its own."""
    await asyncio.gather(exits(), asyncio.sleep(0))


async def exits_behind_its_back() -> None:
    """Leave a task behind that ends the process, and fail."""
    STUCK.append(asyncio.create_task(exits()))
    raise ValueError("after a task was begun")


async def closes() -> None:
    """Raise what ends a generator."""
    raise GeneratorExit


class Wordless(Exception):  # noqa: N818 - an author's
    """An error whose words cannot be told."""

    def __str__(self) -> str:
        """Fail."""
        raise RuntimeError


async def is_wordless() -> None:
    """Raise an error that cannot be told."""
    raise Wordless


STRAYS = [
    cancels,
    cancels_itself,
    leaves_a_time_out_open,
    exits,
    exits_in_a_task,
    exits_behind_its_back,
    closes,
    is_wordless,
]
strays = pytest.mark.parametrize("stray", STRAYS, ids=lambda stray: stray.__name__)


@strays
async def test_an_event_whose_handler_raises_anything_is_its_own_failure(stray: Any) -> None:
    """It is tried and given up like any other, with a reason; events before, beside and after it are handled."""
    script = Script()
    usual = sample_service(script).handlers[Put]

    async def put(events: Sequence[Received[Put]], tx: Transaction) -> Any:
        if any(one.key == "bad" for one in events):
            await stray()
        return await usual(events, tx)

    async with Harness(sample_service(script, handlers={Put: put})) as harness:
        for key in ("a", "bad", "b"):
            harness.send(Put(thing=key, n=1))
        await harness.settle()
        await asyncio.sleep(0.05)
        harness.send(Put(thing="c", n=1))
        await harness.settle()
        assert sorted(done.thing for done in harness.published(Done)) == ["a", "b", "c"]
        (letter,) = harness.dead_letters
        assert (letter.key, letter.attempts) == ("bad", 6)


@strays
async def test_a_timer_and_an_outcome_whose_handler_raises_anything_are_their_own_failures(stray: Any) -> None:
    """Each is a dead letter; the service goes on."""

    async def fail(_: Any, tx: Transaction) -> list[Event]:
        await stray()
        return []

    service = sample_service(Script(), timers={"alarm": fail})
    service = replace(service, calls={"outside": replace(service.calls["outside"], handler=fail)})
    async with Harness(service) as harness:
        harness.send(Put(thing="k", n=1, do=("set 0.001", "call")))
        await harness.settle()
        harness.send(Put(thing="c", n=2))
        await harness.settle()
        assert sorted(letter.type for letter in harness.dead_letters) == ["call/outside", "timer/alarm"]
        assert sorted(done.thing for done in harness.published(Done)) == ["c", "k"]


@strays
@pytest.mark.parametrize("question", ["perform", "lookup"])
async def test_a_call_whose_port_raises_anything_is_asked_for_again(stray: Any, question: str) -> None:
    """Its outcome is not known, as with any other error: it is neither lost nor made twice."""
    outside = Outside(answers=["lost"] if question == "lookup" else [])
    usual, failed = getattr(outside, question), []

    async def fail_first(*args: Any) -> Any:
        if not failed:
            failed.append(1)
            await stray()
        return await usual(*args)

    setattr(outside, question, fail_first)
    async with Harness(sample_service(Script(), outside)) as harness:
        harness.send(Put(thing="k", n=1, do=("call",)))
        await harness.settle()
        assert outside.done == {"k:1": {"for": 1}}
        assert not harness.store.state.calls


@strays
async def test_a_command_whose_handler_raises_anything_is_refused_alone(stray: Any) -> None:
    """Its endpoint gets an ordinary error; commands beside and after it are answered."""
    usual = sample_service(Script()).commands[Do]

    async def do(commands: Any, tx: Transaction) -> Any:
        if any(one.key == "bad" for one in commands):
            await stray()
        return await usual(commands, tx)

    async with Harness(sample_service(Script(), commands={Do: do})) as harness:
        answers = await asyncio.gather(
            *(harness.intake.submit(Do(key, 1)) for key in ("a", "bad", "b")), return_exceptions=True
        )
        await asyncio.sleep(0.05)
        assert isinstance(answers[1], Exception)
        assert [answers[0], answers[2], await harness.intake.submit(Do("c", 2))] == [1, 1, 2]


class Old(Put):
    """An event whose upcaster reads what older events may lack."""

    TYPE: ClassVar[str] = "OLD"
    VERSION: ClassVar[int] = 2
    UPCASTERS: ClassVar[Any] = {1: lambda old: old | {"n": old["cents"] // 100}}


class Exiting(Put):
    """An event whose validator ends the process."""

    TYPE: ClassVar[str] = "EXITING"

    @field_validator("thing")
    @classmethod
    def exit(cls, thing: str) -> str:
        """Refuse in a way that nobody expects."""
        if thing == "bad":
            raise SystemExit(3)
        return thing


class Keyless(Put):
    """An event whose key cannot be told of each."""

    TYPE: ClassVar[str] = "KEYLESS"

    @property
    def key(self) -> str:
        """Return the thing's second half."""
        return self.thing.split("-")[1]


class ExitingKey(Put):
    """An event whose key ends the process."""

    TYPE: ClassVar[str] = "LEAVING"

    @property
    def key(self) -> str:
        """Return the thing, in a way that nobody expects where it is bad."""
        if self.thing == "bad":
            raise SystemExit(3)
        return self.thing


@pytest.mark.parametrize(
    ("event", "bad", "good"),
    [(Old, "bad", "a"), (Exiting, "bad", "a"), (Keyless, "bad", "x-a"), (ExitingKey, "bad", "a")],
)
async def test_an_event_whose_own_code_raises_anything_is_a_dead_letter(event: type[Put], bad: str, good: str) -> None:
    """It is not of the form that its topic has, as far as this version can tell; the next event is handled."""
    seen: list[str] = []

    async def note(events: Sequence[Received[Put]], tx: Transaction) -> list[Event]:
        seen.extend(one.event.thing for one in events)
        return []

    def put(harness: Harness, thing: str, key: str, version: int) -> None:
        headers = Envelope(f"e-{thing}", "/test/sender", event.TYPE, harness.clock.now(), version).headers()
        harness.cluster.append(
            Message(f"test.{event.TYPE.lower()}", key.encode(), headers, json.dumps({"thing": thing}).encode())
        )

    async with Harness(Service(name="reader", handlers={event: note})) as harness:
        put(harness, bad, "bad", 1)
        await harness.settle()
        put(harness, good, "a", event.VERSION)
        await harness.settle()
        (letter,) = harness.dead_letters
        assert letter.reason.startswith(event.TYPE)
    assert seen == [good]


async def test_who_is_cancelled_ends_and_does_not_fail() -> None:
    """A handler that is told to end counts no attempt, whatever it makes of being told."""
    begun = asyncio.Event()

    async def put(events: Sequence[Received[Put]], tx: Transaction) -> list[Event]:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("not now") from None
        return []

    harness = Harness(sample_service(Script(), handlers={Put: put}))

    async def end_in_the_middle() -> None:
        async with harness:
            harness.send(Put(thing="k", n=1))
            await begun.wait()

    with pytest.raises(AssertionError, match="had not ended"):
        await asyncio.wait_for(end_in_the_middle(), 14)
    assert harness.dead_letters == []
    assert not harness.store.state.parked
