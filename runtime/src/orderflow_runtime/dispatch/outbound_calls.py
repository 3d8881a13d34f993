"""Performs calls to the outside after their intents are committed, many at a time but bounded.

The worker hands in intents and gets items back when outcomes are known. A call whose outcome is unknown is asked for
with the same idempotency key until it is known; nothing is ever assumed.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from orderflow_contracts.dead_letters import CALL
from orderflow_runtime.core.event_log import Partition
from orderflow_runtime.core.isolation import run_isolated
from orderflow_runtime.core.retryable import Retryable
from orderflow_runtime.core.store import CallRow, Store, storable
from orderflow_runtime.core.work_item import WorkItem, outcome_item
from orderflow_runtime.dispatch.retry import RetryPolicy
from orderflow_runtime.redaction import redacted_reason
from orderflow_runtime.service import Call, CallOutcome, OutcomeUnknownError
from orderflow_runtime.tracing.trace_context import within

logger = logging.getLogger(__name__)

AT_ONCE = 64
Observe = Callable[[str, bool, float], None]
"""Told of every question to the outside: its kind, whether it was answered, and the seconds it took."""


class OutboundCalls:
    """The calls under way of one worker. `wake` is called when an outcome is ready to `take`."""

    def __init__(
        self,
        calls: Mapping[str, Call],
        store: Store,
        retry: RetryPolicy,
        wake: Callable[[], None],
        observe: Observe,
    ) -> None:
        self._observe = observe
        self._calls = calls
        self._store = store
        self._retry = retry
        self._wake = wake
        self._places = asyncio.Semaphore(AT_ONCE)
        self._running: dict[str, tuple[Partition, asyncio.Task[None]]] = {}
        self._ready: list[WorkItem] = []

    @property
    def waiting(self) -> int:
        """How many calls are under way or wait for a place."""
        return len(self._running)

    def begin(self, rows: Iterable[CallRow], *, ask_first: bool = False) -> None:
        """Perform these intents; `ask_first` where another instance may have performed them already."""
        known = {item.call_id for item in self._ready}
        for row in rows:
            if row.kind not in self._calls:
                logger.error("call %s waits for a version that has a port for it", row.id, extra={"key": row.key})
            elif row.id not in self._running and row.id not in known:
                if ask_first:
                    row = replace(row, trace=row.trace.left_behind())
                task = asyncio.create_task(self._run(row, ask_first))
                self._running[row.id] = (row.shard, task)

    def take(self, limit: int) -> Sequence[WorkItem]:
        """Return outcomes that became known."""
        taken, self._ready = self._ready[:limit], self._ready[limit:]
        return taken

    async def drop(self, shards: Collection[Partition] | None = None) -> None:
        """Stop the calls of lost partitions (all: None); their new owner asks for the outcomes."""
        gone = {i: task for i, (shard, task) in self._running.items() if shards is None or shard in shards}
        self._ready = [] if shards is None else [item for item in self._ready if item.shard not in shards]
        for call_id, task in gone.items():
            task.cancel()
            del self._running[call_id]
        await asyncio.gather(*gone.values(), return_exceptions=True)

    async def _run(self, row: CallRow, ask_first: bool) -> None:
        request = msgspec.json.decode(row.request)
        with within(row.trace):
            item = await self._until_known(row, request, ask_first)
        self._ready.append(item)
        self._running.pop(row.id, None)
        self._wake()

    async def _until_known(self, row: CallRow, request: dict[str, Any], ask_first: bool) -> WorkItem:
        """Return the outcome as an item; an answer that is no JSON is an unknown outcome as any other."""
        attempts = row.attempts
        while True:
            try:
                result = await self._ask(row, request, ask_first)
                return outcome_item(row.shard, row.id, CallOutcome(row.kind, row.key, request, result), row.trace)
            except Exception as error:
                attempts, ask_first = attempts + 1, True
                await self._note(row, request, attempts, error)
            await asyncio.sleep(self._retry.delay(attempts).total_seconds())

    async def _ask(self, row: CallRow, request: dict[str, Any], ask_first: bool) -> dict[str, Any]:
        port = self._calls[row.kind].port
        async with self._places:
            with self._observed(row.kind):
                async with asyncio.timeout(self._retry.timeout):
                    if ask_first and (known := await run_isolated(port.lookup, row.id)) is not None:
                        return known
                    return await run_isolated(port.perform, request, row.id)

    @contextlib.contextmanager
    def _observed(self, kind: str) -> Iterator[None]:
        """Time the block; one that is cancelled was not answered and counts for nothing."""
        started = time.monotonic()
        try:
            yield
        except Exception:
            self._observe(kind, False, time.monotonic() - started)
            raise
        self._observe(kind, True, time.monotonic() - started)

    async def _note(self, row: CallRow, request: Mapping[str, Any], attempts: int, error: Exception) -> None:
        level = logging.INFO if isinstance(error, OutcomeUnknownError) else logging.WARNING
        reason, about = redacted_reason(error, request), {"key": row.key, "event": CALL + row.kind}
        logger.log(level, "outcome unknown after attempt %d: %s", attempts, reason, extra=about)
        try:
            await self._store.note_attempt(row.id, storable(reason))
        except Retryable:
            logger.info("attempt %d is not stored: Postgres is away", attempts, extra=about)
