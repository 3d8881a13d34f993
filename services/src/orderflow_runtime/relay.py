"""Publishes what HTTP commands committed, from the outbox shards that this process owns. The worker runs one `Relay`.

Woken by commits of its own process; commits of other instances are found by polling, often while there are some.
"""

import asyncio
import logging
from collections.abc import Callable, Collection

from orderflow_runtime.log import Log, Partition
from orderflow_runtime.outbox import publish_until_done
from orderflow_runtime.store import Conflict, Store, StoreUnavailable

logger = logging.getLogger(__name__)

_SOONEST, _LATEST = 0.02, 0.5


class Relay:
    """Reads rows in order, publishes them and deletes them with the next read."""

    def __init__(self, log: Log, store: Store, owned: Callable[[], Collection[Partition]]) -> None:
        self._log = log
        self._store = store
        self._owned = owned
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look now: this process has committed something."""
        self._woken.set()

    async def run(self) -> None:
        """Relay for ever."""
        wait = _SOONEST
        while True:
            found = await self._drain()
            wait = _SOONEST if found else min(wait * 2, _LATEST)
            try:
                async with asyncio.timeout(wait):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def _drain(self) -> bool:
        """Publish all there is; tell whether there was any."""
        published: list[int] = []
        found = False
        try:
            while True:
                self._woken.clear()
                owned = self._owned()
                rows = await self._store.backlog(owned, True, published) if owned or published else []
                if not rows:
                    return found
                await publish_until_done(self._log, rows)
                found, published = True, [row.id for row in rows]
        except (StoreUnavailable, Conflict) as error:
            logger.warning("cannot read the intake's outbox: %s", error)
            return False
