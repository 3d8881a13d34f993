"""Publishes what HTTP commands committed, from the outbox shards that this process owns. The worker runs one `Relay`.

Woken by commits of its own process; commits of other instances are found by polling, often while there are some.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence

from orderflow_runtime.log import Log, Partition
from orderflow_runtime.outbox import publish_until_done
from orderflow_runtime.store import Conflict, OutboxRow, Store, StoreUnavailable

logger = logging.getLogger(__name__)

_SOONEST, _LATEST = 0.02, 0.5
_MAYBE_MORE = 50
"""With fewer rows than this found, there is nothing more to find at once."""


class Relay:
    """Reads rows in order, publishes them and deletes them with the next read."""

    def __init__(self, log: Log, store: Store, owned: Callable[[], Collection[Partition]]) -> None:
        self._log = log
        self._store = store
        self._owned = owned
        self._woken = asyncio.Event()
        self._published: list[int] = []

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
        """Publish what there is; tell whether there was any. The next look, which comes soon, deletes it."""
        rows: Sequence[OutboxRow] = ()
        try:
            while True:
                self._woken.clear()
                owned = self._owned()
                rows = await self._store.backlog(owned, True, self._published) if owned or self._published else ()
                self._published = []
                if rows:
                    await publish_until_done(self._log, rows)
                    self._published = [row.id for row in rows]
                if len(rows) < _MAYBE_MORE:
                    return bool(rows)
        except (StoreUnavailable, Conflict) as error:
            logger.warning("cannot read the intake's outbox: %s", error)
            return False
