"""Publishes what HTTP commands committed, from the outbox shards that this process owns.

Woken by commits of its own process; commits of other instances are found by polling, often while there are some.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence

from orderflow_runtime.backoff import Backoff
from orderflow_runtime.core.event_log import Partition
from orderflow_runtime.core.retryable import Retryable
from orderflow_runtime.core.store import OutboxRow, Store
from orderflow_runtime.dispatch.publications import Publications

logger = logging.getLogger(__name__)

_SOONEST, _LATEST = 0.02, 0.5
_MAYBE_MORE = 50
"""With fewer rows than this found, there is nothing more to find at once."""


class Relay:
    """Reads rows in order, publishes them and deletes them with the next read."""

    def __init__(self, publications: Publications, store: Store, owned: Callable[[], Collection[Partition]]) -> None:
        self._publications = publications
        self._store = store
        self._owned = owned
        self._mine: frozenset[Partition] = frozenset()
        self._woken = asyncio.Event()

    @property
    def refused(self) -> Mapping[str, int]:
        """Return how many messages wait because Kafka refuses their topic."""
        return self._publications.waiting

    @property
    def obstacle(self) -> str:
        """Return why nothing more is taken, or nothing."""
        return self._publications.obstacle

    @property
    def hindrance(self) -> str:
        """Return what Kafka refuses now, or nothing."""
        return self._publications.hindrance

    def check(self) -> None:
        """Raise `LogRefuses` when Kafka has not let us in for long: a service that only publishes has nobody else."""
        self._publications.check()

    def wake(self) -> None:
        """Look now: this process has committed something."""
        self._woken.set()

    async def run(self) -> None:
        """Relay for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._publications.keep_trying())
            await self._relay()

    async def _relay(self) -> None:
        pace = Backoff(_SOONEST, _LATEST)
        while True:
            if await self._drain():
                pace.reset()
            try:
                async with asyncio.timeout(pace.next_wait()):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def _drain(self) -> bool:
        """Publish what there is; tell whether there was any. The next look, which comes soon, deletes it."""
        try:
            while True:
                self._woken.clear()
                rows = await self._next()
                if rows:
                    await self._publications.publish(rows)
                if len(rows) < _MAYBE_MORE:
                    return bool(rows)
        except Retryable as error:
            logger.warning("cannot read the intake's outbox: %s", error)
            return False

    async def _next(self) -> Sequence[OutboxRow]:
        """Return rows to publish, with those deleted that are published; a lost shard's are left to who has it now."""
        owned = frozenset(self._owned())
        if not owned >= self._mine:
            self._publications.forget()
        self._mine = owned
        published = self._publications.take_published()
        if not owned and not published:
            return ()
        try:
            return await self._store.backlog(owned, True, published, self._publications.held)
        except BaseException:
            self._publications.put_back(published)
            raise
