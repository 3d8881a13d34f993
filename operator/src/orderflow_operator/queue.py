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

from orderflow_operator.api import ApiError
from orderflow_operator.metrics import DURATION, ERRORS, QUEUE, RECONCILES
from orderflow_operator.store import FlowKey

logger = logging.getLogger(__name__)

Work = Callable[[FlowKey], Awaitable[bool | None]]
"""Reconciles a flow. True: settled. False: look again soon. None: there is no such flow any more."""

RESYNC_SECONDS = 300.0

_DEBOUNCE_SECONDS = 0.05
_FIRST_RETRY = 0.5
_LAST_RETRY = 15.0


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
        QUEUE.set(len(self._due) - len(self._running))
        return found

    async def _turn(self, key: FlowKey) -> None:
        with DURATION.time():
            outcome = await self._outcome(key)
        if outcome is None:
            self._attempts.pop(key, None)
        elif outcome:
            self._attempts.pop(key, None)
            self.add(key, RESYNC_SECONDS * self._draw.uniform(0.8, 1.2))
        else:
            attempt = self._attempts[key] = self._attempts.get(key, 0) + 1
            wait = min(_LAST_RETRY, _FIRST_RETRY * 2 ** min(attempt - 1, 10))
            self.add(key, wait * self._draw.uniform(0.8, 1.2))

    async def _outcome(self, key: FlowKey) -> bool | None:
        try:
            settled = await self._work(key)
        except ApiError as error:
            logger.warning("%s: %s; tried again", key, error, extra={"flow": str(key)})
            RECONCILES.labels("error").inc()
            ERRORS.labels(error.reason or "ApiError").inc()
            return False
        except Exception:
            logger.exception("%s: unexpected; tried again", key, extra={"flow": str(key)})
            RECONCILES.labels("error").inc()
            ERRORS.labels("Unexpected").inc()
            return False
        RECONCILES.labels("settled" if settled or settled is None else "pending").inc()
        return settled
