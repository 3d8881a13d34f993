"""What becomes of events that are handed to a recipient, by its answers, on doubles of Kafka and Postgres."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar

from orderflow_contracts.event import Event
from orderflow_contracts.raw_event import RawEvent
from orderflow_runtime import Handed, NotTakenError, Received, Service, Transaction, Verdict
from orderflow_runtime.core.store import StoreUnavailable
from orderflow_runtime.testing import Harness

ASKED = RawEvent.named("ASKED")
Answer = Callable[[Handed], Awaitable[list[Event]]]


class Answered(Event):
    """What the recipient answers."""

    TYPE: ClassVar[str] = "ANSWERED"
    of: str

    @property
    def key(self) -> str:
        """The key of what was asked."""
        return self.of


def asked(key: str, data: bytes = b"{}") -> RawEvent:
    """Return an event of this key."""
    return ASKED(source="/test", version=1, data=data, record_key=key)


def answered(key: str) -> Answered:
    """Return a reply of this key."""
    return Answered(of=key)


@dataclass
class Recorded:
    """A recipient that notes what it gets and answers by a function of each event."""

    answer: Answer
    at_once: int = 8
    together: int = 1
    kind: str = "recorded"
    begun: list[str] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    obstacle: str = ""

    async def start(self) -> None:
        """Be there at once."""

    async def hand(self, events: Sequence[Handed]) -> Sequence[Event]:
        """Note and answer."""
        self.requests.append(len(events))
        self.begun += [one.id for one in events]
        return [reply for one in events for reply in await self.answer(one)]


async def publish(events: Sequence[Received[RawEvent]], tx: Transaction) -> list[Event]:
    """Publish the replies."""
    return [reply for one in events for reply in one.replies]


def harness(recipient: Recorded) -> Harness:
    """Return a service that hands its events to the recipient."""
    return Harness(Service("fraud", {ASKED: publish}, frozenset({Answered}), recipient=recipient))


async def reply(one: Handed) -> list[Event]:
    """Answer with one event."""
    return [answered(one.received.key)]


async def test_a_reply_is_published_once_though_the_commit_is_lost() -> None:
    """The event is handed over again, under its same id; the reply of the commit that counts is the only one."""
    recipient = Recorded(reply)
    async with harness(recipient) as running:
        running.faults.add("commit", StoreUnavailable("away"))
        sent = running.send(asked("o1"))
        await running.settle()
        assert [one.key for one in running.published(Answered)] == ["o1"]
        assert recipient.begun == [sent, sent]


async def test_an_event_that_was_taken_in_is_not_handed_over_again() -> None:
    """A repeat on the topic costs the recipient nothing."""
    recipient = Recorded(reply)
    async with harness(recipient) as running:
        sent = running.send(asked("o1"))
        await running.settle()
        running.send(asked("o1"), sent)
        await running.settle()
        assert recipient.begun == [sent]


async def test_events_of_a_key_keep_their_order_behind_one_that_fails() -> None:
    """None of them is begun before the one before it was taken, others go on."""
    failures = {"a1": 3}

    async def answer(one: Handed) -> list[Event]:
        if failures.get(one.id, 0) > 0:
            failures[one.id] -= 1
            raise NotTakenError("503")
        return []

    recipient = Recorded(answer)
    async with harness(recipient) as running:
        for number in range(1, 6):
            running.send(asked("a"), f"a{number}")
            running.send(asked("b"), f"b{number}")
        await running.settle()
    of_a = [one for one in recipient.begun if one.startswith("a")]
    assert of_a == ["a1"] * 4 + ["a2", "a3", "a4", "a5"]
    assert [one for one in recipient.begun if one.startswith("b")] == ["b1", "b2", "b3", "b4", "b5"]


async def test_what_is_refused_is_a_dead_letter_at_once_and_holds_up_nobody() -> None:
    """One attempt, the reason as told, and the next of its key is handed over."""

    async def answer(one: Handed) -> list[Event]:
        if one.id == "bad":
            raise NotTakenError("the app answered 400", Verdict.REFUSE)
        return []

    recipient = Recorded(answer)
    async with harness(recipient) as running:
        running.send(asked("a"), "bad")
        running.send(asked("a"), "good")
        await running.settle()
        assert [(letter.event_id, letter.attempts, letter.reason) for letter in running.dead_letters] == [
            ("bad", 1, "the app answered 400")
        ]
    assert recipient.begun == ["bad", "good"]


async def test_what_is_retried_for_too_long_is_a_dead_letter() -> None:
    """After as many retries as `delivery` has, five by default."""

    async def answer(one: Handed) -> list[Event]:
        raise NotTakenError("the app answered 500")

    recipient = Recorded(answer)
    async with harness(recipient) as running:
        running.send(asked("a"), "a1")
        await running.settle()
        assert [(letter.event_id, letter.attempts) for letter in running.dead_letters] == [("a1", 6)]
    assert recipient.begun == ["a1"] * 6


async def test_what_is_dropped_is_journalled_and_no_dead_letter() -> None:
    """Its key goes on, and its story tells of it."""

    async def answer(one: Handed) -> list[Event]:
        if one.id == "a1":
            raise NotTakenError("the app answered DROP", Verdict.DROP)
        return []

    recipient = Recorded(answer)
    async with harness(recipient) as running:
        running.send(asked("a"), "a1")
        running.send(asked("a"), "a2")
        await running.settle()
        assert not running.dead_letters
        assert [(row.what, row.event_id) for row in running.store.state.journal] == [("DROPPED", "a1")]
    assert recipient.begun == ["a1", "a2"]


async def test_a_slow_event_holds_up_others_for_a_second_alone_and_is_not_begun_twice() -> None:
    """It is put aside, which is no failed attempt; events of its key wait for it, and its reply is published."""
    let_go = asyncio.Event()

    async def answer(one: Handed) -> list[Event]:
        if one.id == "slow":
            await let_go.wait()
        return [answered(one.received.key)]

    recipient = Recorded(answer)
    async with harness(recipient) as running:
        running.send(asked("a"), "slow")
        running.send(asked("a"), "behind")
        async with asyncio.timeout(8):
            for number in range(20):
                running.send(asked(f"k{number}"), f"b{number}")
            while len(running.published(Answered)) < 20:  # noqa: ASYNC110 - as a user would look
                await asyncio.sleep(0.01)
        assert "behind" not in recipient.begun
        let_go.set()
        async with asyncio.timeout(8):
            while len(running.published(Answered)) < 22:
                running.advance(timedelta(seconds=1))
                await asyncio.sleep(0.01)
        assert not running.dead_letters
    assert Counter(recipient.begun).most_common(1)[0][1] == 1
    assert recipient.begun.index("slow") < recipient.begun.index("behind")


async def test_of_a_request_that_is_refused_only_the_event_at_fault_dies() -> None:
    """It is looked for by halves; all others are taken."""

    async def answer(one: Handed) -> list[Event]:
        if one.id == "b7":
            raise NotTakenError("the app answered 400", Verdict.REFUSE)
        return [answered(one.received.key)]

    recipient = Recorded(answer, at_once=2, together=50)
    async with harness(recipient) as running:
        for number in range(40):
            running.send(asked(f"k{number}"), f"b{number}")
        await running.settle()
        assert [letter.event_id for letter in running.dead_letters] == ["b7"]
        assert sorted(one.key for one in running.published(Answered)) == sorted(f"k{n}" for n in range(40) if n != 7)
    assert max(recipient.requests) > 5


async def test_no_more_is_under_way_than_the_recipient_allows() -> None:
    """However many events wait."""
    now = most = 0

    async def answer(one: Handed) -> list[Event]:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1
        return []

    recipient = Recorded(answer, at_once=4)
    async with harness(recipient) as running:
        for number in range(100):
            running.send(asked(f"k{number}"))
        await running.settle()
    assert most == 4
