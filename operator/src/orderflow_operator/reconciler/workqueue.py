"""Which flow is reconciled when: each by one worker at a time, what happens meanwhile as one further turn.

Everything that happens only adds a flow here. A turn that did not settle its flow is followed by another, later each
time; one that did, by a look now and then.
"""

import asyncio
import heapq
import logging
import random
import time
from collections.abc import Awaitable, Callable

from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.kubernetes.client import ApiError
from orderflow_operator.metrics import DURATION, ERRORS, RECONCILES
from orderflow_operator.reconciler.outcome import Outcome

logger = logging.getLogger(__name__)


Work = Callable[[FlowKey], Awaitable[Outcome]]
"""Reconciles a flow."""

# Nobody tells of Secrets and of what a Kafka holds: a flow at rest is looked at all the same, often enough that what
# breaks is told of within a minute. Many flows share so many turns a second.
RESYNC_SECONDS, _LONGEST_RESYNC_SECONDS = 40.0, 300.0
RESYNCS_PER_SECOND = 4

# What gets ready, gets ready one after another: one turn speaks of many.
PROGRESS_SECONDS = 0.3

_DEBOUNCE_SECONDS = 0.05
# Of what only takes its time the watches tell; of what is wrong, mostly nobody.
_FIRST_RETRY = {Outcome.PENDING: 2.0, Outcome.ENDING: 1.0, Outcome.TROUBLED: 0.5}
_LAST_RETRY = {Outcome.PENDING: 15.0, Outcome.ENDING: 5.0, Outcome.TROUBLED: 15.0}


class Queue:
    """Flows that wait for a turn, by the time it is due."""

    def __init__(self, work: Work, workers: int = 8, draw: random.Random | None = None) -> None:
        self._work = work
        self._workers = workers
        self._draw = draw or random.Random()  # noqa: S311 - it spreads turns, it guards nothing
        self._due: dict[FlowKey, float] = {}
        self._heap: list[tuple[float, FlowKey]] = []
        self._running: set[FlowKey] = set()
        self._attempts: dict[FlowKey, int] = {}
        self._added = asyncio.Event()
        self._alive_at = time.monotonic()

    def add(self, key: FlowKey, after: float = _DEBOUNCE_SECONDS) -> None:
        """Give a flow a turn at the latest so many seconds from now."""
        due = time.monotonic() + after
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._heap, (due, key))
            self._added.set()

    def waiting(self) -> int:
        """Return how many flows' turns are due."""
        now = time.monotonic()
        return sum(due <= now for due in self._due.values())

    def stalled_for(self) -> float:
        """Return for how many seconds turns have been due without one being taken."""
        now = time.monotonic()
        waiting = any(due < now and key not in self._running for key, due in self._due.items())
        return now - self._alive_at if waiting else 0.0

    async def run(self) -> None:
        """Give turns until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._serve())

    async def _serve(self) -> None:
        while True:
            key = await self._next()
            self._running.add(key)
            try:
                await self._turn(key)
            finally:
                self._running.discard(key)
                self._added.set()

    async def _next(self) -> FlowKey:
        while True:
            self._added.clear()
            key, wait = self._pop()
            if key is not None:
                self._alive_at = time.monotonic()
                return key
            try:
                async with asyncio.timeout(wait):
                    await self._added.wait()
            except TimeoutError:
                continue

    def _pop(self) -> tuple[FlowKey | None, float | None]:
        """Return a flow whose turn it is, or how long until the next may be."""
        now, busy = time.monotonic(), []
        found: tuple[FlowKey | None, float | None] = (None, None)
        while self._heap:
            due, key = self._heap[0]
            if self._due.get(key) != due:
                heapq.heappop(self._heap)
            elif due > now:
                found = (None, due - now)
                break
            else:
                heapq.heappop(self._heap)
                if key not in self._running:
                    del self._due[key]
                    found = (key, None)
                    break
                busy.append((due, key))
        for one in busy:
            heapq.heappush(self._heap, one)
        return found

    async def _turn(self, key: FlowKey) -> None:
        with DURATION.time():
            outcome = await self._outcome(key)
        RECONCILES.labels(outcome).inc()
        attempt = self._attempts.pop(key, 0)
        if outcome is Outcome.SETTLED:
            self.add(key, self._resync_seconds() * self._draw.uniform(0.8, 1.2))
        elif outcome is not Outcome.GONE:
            self._attempts[key] = attempt + 1
            wait = min(_LAST_RETRY[outcome], _FIRST_RETRY[outcome] * 2 ** min(attempt, 10))
            self.add(key, wait * self._draw.uniform(0.8, 1.2))

    def _resync_seconds(self) -> float:
        return min(_LONGEST_RESYNC_SECONDS, max(RESYNC_SECONDS, len(self._due) / RESYNCS_PER_SECOND))

    async def _outcome(self, key: FlowKey) -> Outcome:
        try:
            return await self._work(key)
        except ApiError as error:
            logger.warning("%s: %s; tried again", key, error, extra={"flow": str(key)})
            ERRORS.labels(error.reason or "ApiError").inc()
        except Exception:
            logger.exception("%s: unexpected; tried again", key, extra={"flow": str(key)})
            ERRORS.labels("Unexpected").inc()
        return Outcome.TROUBLED
