"""The loop of a source: connect, take messages in, and begin anew whenever the connection is lost.

A message is acknowledged when the service has it, or the queue for refused ones: so each is handed on at least once,
and by its key the service takes it once. While the service is away its messages stay in hand, as many as `prefetch`,
and are offered again with growing waits: given back, they would come again at once and overtake each other.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from aio_pika.abc import AbstractIncomingMessage
from prometheus_client import CollectorRegistry

from orderflow_runtime.backoff import Backoff
from orderflow_runtime.ending import Ending
from orderflow_sources.broker import FAILURES, LostError, NotLetInError, Session, message_of, opened
from orderflow_sources.front_door import Accepted, Away, FrontDoor, Refused
from orderflow_sources.lanes import Lanes
from orderflow_sources.measures import Measures
from orderflow_sources.message import Request, UnusableMessageError, request_of
from orderflow_sources.settings import SourceSettings

logger = logging.getLogger(__name__)

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.2, 15.0
_NOT_LET_IN_SECONDS = 30.0
_LAST_MESSAGES_SECONDS = 5.0

Jitter = Callable[[], float]
"""A number from 0 to 1, drawn anew."""


class Source:
    """Takes messages until the end is due. `obstacle` is why none are taken, `hindrance` why some wait; or nothing."""

    def __init__(self, settings: SourceSettings, door: FrontDoor, measures: Measures, jitter: Jitter) -> None:
        self.obstacle = "it has not reached the broker yet"
        self.hindrance = ""
        self._settings, self._door, self._measures, self._jitter = settings, door, measures, jitter

    @property
    def registry(self) -> CollectorRegistry:
        """What it counts."""
        return self._measures.registry

    async def run(self, ending: Ending) -> None:
        """Take messages until the end is due; raise `NotLetInError` when the broker refuses the login for 30 s."""
        loop, waits = asyncio.get_running_loop(), Backoff(_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS)
        let_in = loop.time()
        while not ending.due.is_set():
            try:
                await self._consume(ending, waits)
                let_in = loop.time()
            except NotLetInError as error:
                self.obstacle = f"the broker does not let it in: {error}"
                if loop.time() - let_in > _NOT_LET_IN_SECONDS:
                    raise
            except LostError as error:
                self.obstacle, let_in = str(error), loop.time()
            if not ending.due.is_set():
                logger.warning("%s; connecting again", self.obstacle)
                await _pause(waits.next_wait() * self._spread(), ending)

    async def _consume(self, ending: Ending, waits: Backoff) -> None:
        """Take messages over one connection; raise `LostError` or `NotLetInError`."""
        async with opened(self._settings) as session:
            lanes, settled = Lanes(), self._measures.settled
            try:
                await session.consume(lambda session, delivery: self._take(session, delivery, lanes))
                self.obstacle = ""
                self._measures.connected.set(1)
                logger.info("taking messages of queue %s", self._settings.queue)
                if why := await _until_lost(session.lost, ending):
                    raise LostError(f"queue {self._settings.queue}: {why}")
                await session.stop()
                await lanes.rest(_LAST_MESSAGES_SECONDS)
            finally:
                self._measures.connected.set(0)
                await lanes.clear()
                if self._measures.settled > settled:  # else one message may end each connection: do not hurry
                    waits.reset()

    def _take(self, session: Session, delivery: AbstractIncomingMessage, lanes: Lanes) -> None:
        """Begin with a delivery, behind those of the same key."""
        try:
            request = request_of(message_of(delivery), self._settings.key_header, self._settings.name)
        except UnusableMessageError as error:
            lanes.add(f"{delivery.delivery_tag}", self._settle(session, self._refuse(session, delivery, str(error))))
        else:
            lanes.add(request.key, self._settle(session, self._hand_on(session, delivery, request)))

    async def _settle(self, session: Session, work: Coroutine[None, None, None]) -> None:
        """Do what ends with a message acknowledged; where the broker does not let it, all in hand comes again.

        Kept in hand it would fill up `prefetch`, as when the queue for refused messages is gone or takes no more.
        """
        with self._measures.in_hand():
            try:
                await work
            except FAILURES as error:
                logger.warning("a message stays with the broker: %s", error)
                session.lose(f"a message could not be settled: {str(error) or type(error).__name__}")

    async def _hand_on(self, session: Session, delivery: AbstractIncomingMessage, request: Request) -> None:
        """Offer a message until it is accepted or refused."""
        waits = Backoff(_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS)
        while isinstance(verdict := await self._door.offer(request), Away):
            self._measures.away.inc()
            if not self.hindrance:
                logger.warning("%s takes no messages: %s", self._settings.into, verdict.reason)
            self.hindrance = f"{self._settings.into} takes no messages: {verdict.reason}"
            await asyncio.sleep(waits.next_wait() * self._spread())
        self.hindrance = ""
        match verdict:
            case Accepted(known=known):
                await delivery.ack()
                self._measures.settle(self._measures.repeated if known else self._measures.accepted)
            case Refused(reason=reason):
                await self._refuse(session, delivery, reason)

    async def _refuse(self, session: Session, delivery: AbstractIncomingMessage, reason: str) -> None:
        await session.refuse(delivery, reason)
        self._measures.settle(self._measures.refused)
        logger.warning("refused, and kept in %s: %s", self._settings.refused, reason)

    def _spread(self) -> float:
        """Return a factor by which waits differ, so that not all messages come back at once."""
        return 0.5 + self._jitter() / 2


async def _until_lost(lost: "asyncio.Future[str]", ending: Ending) -> str:
    """Wait for the end of the connection or for one's own; return why the connection was lost, or nothing."""
    due = asyncio.ensure_future(ending.due.wait())
    waiting: list[asyncio.Future[Any]] = [lost, due]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        due.cancel()
    return lost.result() if lost.done() else ""


async def _pause(seconds: float, ending: Ending) -> None:
    """Wait, or until the end is due."""
    try:
        async with asyncio.timeout(seconds):
            await ending.due.wait()
    except TimeoutError:
        pass
