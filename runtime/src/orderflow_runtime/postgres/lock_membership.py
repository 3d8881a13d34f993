"""Membership for a service that only publishes: it reads no topic, so no group gives it partitions.

Its outbox shards are session advisory locks instead, which Postgres frees when the holder dies. `app.py` wraps the
Kafka log with it; the worker and the relay see partitions as ever.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from orderflow_runtime.core.event_log import Consumer, Partition, Position, Revoked, Stretch
from orderflow_runtime.core.retryable import Retryable

logger = logging.getLogger(__name__)

SHARDS = 8
_EVERY_SECONDS = 1.0


class Locks(Protocol):
    """Advisory locks of one session."""

    async def try_locks(self, numbers: Sequence[int]) -> frozenset[int]:
        """Take what is free of these and give all that this session holds; raise `StoreUnavailable` when it died."""
        ...


class LockedShards:
    """A `Consumer` whose partitions are advisory locks."""

    TOPIC = ""

    def __init__(self, consumer: Consumer, locks: Locks) -> None:
        self._consumer = consumer
        self._locks = locks
        self._held: frozenset[int] = frozenset()
        self._joined = False
        self._locking: asyncio.Task[None] | None = None

    async def start(self, on_revoked: Revoked) -> None:
        """Connect, and begin to take shards."""
        await self._consumer.start(on_revoked)
        self._locking = asyncio.create_task(self._keep_locking(on_revoked))

    def assigned(self) -> frozenset[Partition]:
        """Return the shards held."""
        return frozenset(Partition(self.TOPIC, number) for number in self._held)

    def joined(self) -> bool:
        """Return whether the locks were tried."""
        return self._joined

    def unread(self) -> Mapping[str, str]:
        """Return nothing: nothing is subscribed to."""
        return {}

    async def resume(self, positions: Mapping[Partition, Position]) -> Mapping[Partition, Position]:
        """Return the positions as they are: nothing is read."""
        return positions

    async def fetch(self, limit: int, wait: float) -> Sequence[Stretch]:
        """Wait; nothing ever comes."""
        await asyncio.sleep(wait)
        return ()

    async def report(self, offsets: Mapping[Partition, int]) -> None:
        """Do nothing: there is no group to tell."""

    def ends(self) -> Mapping[Partition, int]:
        """Return nothing: there is no log that could be behind."""
        return {}

    async def partitions_of(self, topic: str) -> int:
        """Return the number of shards."""
        return SHARDS

    async def stop(self) -> None:
        """Leave; the locks go with the store's connection."""
        if self._locking is not None:
            self._locking.cancel()
        self._held, self._joined = frozenset(), False
        await self._consumer.stop()

    async def _keep_locking(self, on_revoked: Revoked) -> None:
        while True:
            try:
                held = await self._locks.try_locks(range(SHARDS))
                self._joined = True
            except Retryable as error:
                logger.warning("the session that held our shards is gone: %s", error)
                held = frozenset()
            before, self._held = self.assigned(), held
            if lost := before - self.assigned():
                await on_revoked(lost)
            await asyncio.sleep(_EVERY_SECONDS)
