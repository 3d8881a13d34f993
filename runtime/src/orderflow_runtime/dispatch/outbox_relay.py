"""Publishes what HTTP commands committed, from the outbox shards that this process owns.

What its own process commits is handed in, and published at once where nothing else of its shard can come before it. The
rest, commits of other instances above all, is read from the database: soon after such a row was handed in or one was
found, and now and then.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

from orderflow_runtime.backoff import Backoff
from orderflow_runtime.core.event_log import Partition
from orderflow_runtime.core.retryable import Retryable
from orderflow_runtime.core.store import MOST_BEHIND, OutboxRow, Store
from orderflow_runtime.dispatch.publications import Publications

logger = logging.getLogger(__name__)

_SOONEST, _LATEST = 0.02, 0.5
_MAYBE_MORE = 50
"""With fewer new rows than this found, there is nothing more to find at once."""
_MOST_HANDED_BYTES = 8 * 1024 * 1024
"""With so much waiting here, while Kafka is away, what more is committed is looked for in the database later."""


class Relay:
    """Publishes rows in order by shard, and deletes them with the next read."""

    def __init__(self, publications: Publications, store: Store, owned: Callable[[], Collection[Partition]]) -> None:
        self._publications = publications
        self._store = store
        self._owned = owned
        self._mine: frozenset[Partition] = frozenset()
        self._handed: list[OutboxRow] = []
        self._handed_bytes = 0
        self._known: set[int] = set()
        """rows that were handed in or read, and are not deleted yet"""
        self._look = False
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

    def put(self, rows: Sequence[OutboxRow]) -> None:
        """Hand in what this process has just committed; another instance's shards are left to it."""
        owned = self._owned()
        for row in rows:
            if row.shard not in owned:
                continue
            if self._is_next(row) and self._handed_bytes < _MOST_HANDED_BYTES:
                self._mine |= {row.shard}
                self._known.add(row.id)
                self._handed.append(row)
                self._handed_bytes += len(row.messages)
            else:
                self._look = True
        self._woken.set()

    def _is_next(self, row: OutboxRow) -> bool:
        return len(row.behind) <= MOST_BEHIND and row.behind <= self._known

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
            await self._publish_handed(pace.next_wait())

    async def _publish_handed(self, seconds: float) -> None:
        """Publish what is handed in, until so many seconds are over or something has to be looked for."""
        until = time.monotonic() + seconds
        while not self._look and (left := until - time.monotonic()) > 0:
            self._woken.clear()
            self._follow_owned()
            if self._handed:
                await self._publications.publish(self._take_handed())
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._woken.wait()

    async def _drain(self) -> bool:
        """Publish what there is; tell whether there was any. The next look deletes it.

        What is found may come after what was handed in and waits still: both go out in the order of their ids.
        """
        try:
            while True:
                self._look = False
                rows = await self._next()
                new = [row for row in rows if row.id not in self._known]
                self._known |= {row.id for row in new}
                if rows := sorted([*self._take_handed(), *new], key=lambda row: row.id):
                    await self._publications.publish(rows)
                if len(new) < _MAYBE_MORE:
                    return bool(new)
        except Retryable as error:
            logger.warning("cannot read the intake's outbox: %s", error)
            return False

    async def _next(self) -> Sequence[OutboxRow]:
        """Return rows to publish, with those deleted that are published."""
        owned = self._follow_owned()
        published = self._publications.take_published()
        if not owned and not published:
            return ()
        try:
            rows = await self._store.backlog(owned, True, published, self._publications.held)
        except BaseException:
            self._publications.put_back(published)
            raise
        self._known.difference_update(published)
        return rows

    def _take_handed(self) -> list[OutboxRow]:
        handed, self._handed, self._handed_bytes = self._handed, [], 0
        return handed

    def _follow_owned(self) -> frozenset[Partition]:
        """Return the shards that are owned; a lost one's rows are left to who has it now."""
        owned = frozenset(self._owned())
        if not owned >= self._mine:
            self._publications.forget()
            self._take_handed()
            self._look = True
            self._known.clear()
        self._mine = owned
        return owned
