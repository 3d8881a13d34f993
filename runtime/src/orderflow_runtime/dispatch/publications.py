"""What becomes of the messages of outbox rows: published, or waiting because Kafka refuses their topic.

The worker's outbox and the relay publish through one each. Order is promised by key within a topic, so a refused
topic's messages wait in a line of their own, and those of all other topics go on. A message that no topic would take
by itself becomes a dead letter; where even that is refused, it waits too: nothing is lost, and readiness says what
waits and why.
A row counts as published when all its messages are.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice

from orderflow_runtime.backoff import Backoff
from orderflow_runtime.core.event_log import (
    PATIENCE_SECONDS,
    LogRefuses,
    LogUnavailable,
    Message,
    Producer,
    Refusal,
    RefusedError,
    unpack,
)
from orderflow_runtime.core.store import OutboxRow

logger = logging.getLogger(__name__)

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.1, 5.0
_AGAIN_SECONDS = 5.0
_AGAIN_AT_ONCE = 500
MOST_HELD_BYTES = 64 * 1024 * 1024
"""With so much waiting no more is taken, and the service stands: what it would do more, nobody would hear of."""

_Part = tuple[int, Message]
"""A row's id and one of its messages."""

GiveUp = Callable[[Message, str], Awaitable[Message]]
"""Notes that a message cannot be published, with the reason; returns the dead letter to publish in its place."""


class Publications:
    """The rows under way. `give_up` makes a dead letter of a message for `letters`, the service's dead-letter topic."""

    def __init__(self, producer: Producer, give_up: GiveUp, dead_letter_topic: str) -> None:
        self._producer = producer
        self._give_up = give_up
        self._dead_letter_topic = dead_letter_topic
        self.forget()

    def forget(self) -> None:
        """Forget all: the rows are in Postgres."""
        self._missing: Counter[int] = Counter()
        self._held: dict[str, deque[_Part]] = {}
        self._reasons: dict[str, str] = {}
        self._held_bytes = 0
        self._shut_out: LogRefuses | None = None
        self._shut_out_since = 0.0
        self._published: list[int] = []
        self._room = asyncio.Event()
        self._room.set()

    @property
    def held(self) -> list[int]:
        """Return the rows that are not whole yet."""
        return list(self._missing)

    @property
    def waiting(self) -> dict[str, int]:
        """Return how many messages wait, by topic."""
        return {topic: len(parts) for topic, parts in self._held.items()}

    @property
    def obstacle(self) -> str:
        """Return why nothing is published or nothing more is taken, or nothing."""
        if self._shut_out:
            return str(self._shut_out)
        return "" if self._room.is_set() else f"too much waits for more to be taken: {self.hindrance}"

    @property
    def hindrance(self) -> str:
        """Return what is refused and why, while all else goes on; or nothing."""
        return "; ".join(f"{self._reasons[topic]} ({len(parts)} messages wait)" for topic, parts in self._held.items())

    def check(self) -> None:
        """Raise `LogRefuses` when Kafka has not let us in for `PATIENCE_SECONDS`."""
        if self._shut_out and time.monotonic() - self._shut_out_since > PATIENCE_SECONDS:
            raise self._shut_out

    def take_published(self) -> list[int]:
        """Return the rows published since the last call."""
        published, self._published = self._published, []
        return published

    def put_back(self, published: Sequence[int]) -> None:
        """Undo `take_published`."""
        self._published = [*published, *self._published]

    async def publish(self, rows: Sequence[OutboxRow], left_behind: bool = False) -> None:
        """Publish rows in order, trying for as long as Kafka is away; return when each is published or waits."""
        await self._room.wait()
        parts: list[_Part] = []
        for row in rows:
            messages = unpack(row.messages)
            self._missing[row.id] = len(messages)
            for message in messages:
                part = (row.id, message.left_behind() if left_behind else message)
                if message.topic in self._held:
                    self._hold(part)
                else:
                    parts.append(part)
            self._settle(row.id, 0)
        await self._write(parts)

    async def keep_trying(self) -> None:
        """Try what waits again, for ever."""
        while True:
            await asyncio.sleep(_AGAIN_SECONDS)
            for topic in list(self._held):
                await self._try_again(topic)

    async def _write(self, parts: Sequence[_Part]) -> None:
        refusals = await self._refusals(parts)
        refused_topics = {parts[place][1].topic for place in refusals if not refusals[place].own}
        for place, part in enumerate(parts):
            if place not in refusals:
                self._settle(part[0], 1)
            elif part[1].topic in refused_topics:
                self._hold(part, refusals[place].reason)
            else:
                await self._give_up_part(part, refusals[place].reason)

    async def _refusals(self, parts: Sequence[_Part]) -> dict[int, Refusal]:
        messages, backoff = [message for _, message in parts], Backoff(_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS)
        while messages:
            try:
                await self._producer.publish(messages)
            except RefusedError as refused:
                self._note(None)
                return {refusal.place: refusal for refusal in refused.refusals}
            except LogUnavailable as error:
                wait = backoff.next_wait()
                logger.warning("cannot publish %d messages, trying again in %.1f s: %s", len(messages), wait, error)
                self._note(error)
                await asyncio.sleep(wait)
            else:
                break
        self._note(None)
        return {}

    def _note(self, error: LogUnavailable | None) -> None:
        """Remember since when Kafka has not let us in."""
        refusal = error if isinstance(error, LogRefuses) else None
        if refusal is None or self._shut_out is None:
            self._shut_out_since = time.monotonic()
        self._shut_out = refusal

    async def _give_up_part(self, part: _Part, reason: str) -> None:
        """Let a dead letter take the message's place; a letter that is refused itself waits."""
        row, message = part
        if message.topic == self._dead_letter_topic:
            self._hold(part, reason)
            return
        logger.error("not published, and given up: %s", reason, extra={"key": _key(message)})
        letter = await self._give_up(message, reason)
        if self._dead_letter_topic in self._held:
            self._hold((row, letter))
        else:
            await self._write([(row, letter)])

    async def _try_again(self, topic: str) -> None:
        line = self._held[topic]
        while parts := list(islice(line, _AGAIN_AT_ONCE)):
            refusals: dict[int, Refusal] = {}
            try:
                await self._producer.publish_again([message for _, message in parts])
            except RefusedError as refused:
                refusals = {refusal.place: refusal for refusal in refused.refusals}
                self._reasons[topic] = refused.refusals[0].reason
            except LogUnavailable as error:
                logger.info("what waits for topic %s cannot be tried: %s", topic, error)
                return
            if self._held.get(topic) is not line:
                return  # all was forgotten meanwhile
            if await self._take_out(line, parts, refusals):
                return
        logger.warning("topic %s is written to again", topic)
        del self._held[topic], self._reasons[topic]

    async def _take_out(self, line: deque[_Part], parts: Sequence[_Part], refusals: Mapping[int, Refusal]) -> bool:
        """Take from the line's beginning what is written or given up; tell whether any of it has to wait on."""
        waiting, given_up = [], []
        for place, part in enumerate(parts):
            line.popleft()
            refusal = refusals.get(place)
            if refusal and (not refusal.own or part[1].topic == self._dead_letter_topic):
                waiting.append(part)
                continue
            self._make_room(part[1])
            if refusal:
                given_up.append((part, refusal.reason))
            else:
                self._settle(part[0], 1)
        line.extendleft(reversed(waiting))
        for part, reason in given_up:
            await self._give_up_part(part, reason)
        return bool(waiting)

    def _hold(self, part: _Part, reason: str = "") -> None:
        topic = part[1].topic
        if topic not in self._held:
            logger.error("%s; its messages wait, others go on", reason)
            self._held[topic], self._reasons[topic] = deque(), reason
        self._held[topic].append(part)
        self._held_bytes += len(part[1].value)
        if self._held_bytes > MOST_HELD_BYTES:
            self._room.clear()

    def _make_room(self, message: Message) -> None:
        self._held_bytes -= len(message.value)
        if self._held_bytes <= MOST_HELD_BYTES:
            self._room.set()

    def _settle(self, row: int, messages: int) -> None:
        """Count messages of a row that are out; a row of which none is missing is published."""
        self._missing[row] -= messages
        if not self._missing[row]:
            del self._missing[row]
            self._published.append(row)


def _key(message: Message) -> str:
    return (message.key or b"").decode(errors="replace")
