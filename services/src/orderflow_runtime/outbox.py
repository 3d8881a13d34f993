"""Publishes what batches committed, in order, while the worker goes on with the next batch.

Rows are known to be published when Kafka has acknowledged them; the worker's next transaction deletes them. Should
the process die before, the next owner publishes them again and the consumers' inboxes drop the repeats.
"""

import asyncio
import logging
from collections.abc import Sequence

from orderflow_runtime.log import Log, LogUnavailable, unpack
from orderflow_runtime.store import OutboxRow

logger = logging.getLogger(__name__)

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0
_AT_ONCE = 8


async def publish_until_done(log: Log, rows: Sequence[OutboxRow], left_behind: bool = False) -> None:
    """Publish all rows in order, trying again for as long as Kafka is away; `left_behind` by a former owner."""
    messages = [message for row in rows for message in unpack(row.messages)]
    if left_behind:
        messages = [message.left_behind() for message in messages]
    wait = _FIRST_WAIT
    while True:
        try:
            return await log.publish(messages)
        except LogUnavailable as error:
            logger.warning("cannot publish %d messages, trying again in %.1f s: %s", len(messages), wait, error)
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)


class Outbox:
    """The rows between commit and acknowledgement. `put` waits when Kafka falls behind: that is the back-pressure."""

    def __init__(self, log: Log, capacity: int = 16) -> None:
        self._log = log
        self._queue: asyncio.Queue[Sequence[OutboxRow]] = asyncio.Queue(capacity)
        self._published: list[int] = []
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to publish."""
        self._running = asyncio.create_task(self._run())

    async def put(self, rows: Sequence[OutboxRow]) -> None:
        """Hand in one batch's rows."""
        if self._running is not None and self._running.done():
            self._running.result()
        if rows:
            await self._queue.put(rows)

    def take_published(self) -> list[int]:
        """Give the ids acknowledged since the last call."""
        published, self._published = self._published, []
        return published

    def put_back(self, published: Sequence[int]) -> None:
        """Undo `take_published`: the transaction that was to delete these rows did not commit."""
        self._published = [*published, *self._published]

    async def flush(self, seconds: float) -> None:
        """Wait until all is published, or until so many seconds are over."""
        try:
            async with asyncio.timeout(seconds):
                await self._queue.join()
        except TimeoutError:
            logger.warning("not all was published in %.0f s; the next owner of the partitions will", seconds)

    async def reset(self) -> None:
        """Forget everything: the rows are in Postgres, and whoever owns their partitions reads them from there."""
        await self.stop()
        self._queue = asyncio.Queue(self._queue.maxsize)
        self._published = []
        self.start()

    async def stop(self) -> None:
        """Stop publishing."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None

    async def _run(self) -> None:
        while True:
            batches = [await self._queue.get()]
            while len(batches) < _AT_ONCE and not self._queue.empty():
                batches.append(self._queue.get_nowait())
            rows = [row for batch in batches for row in batch]
            await publish_until_done(self._log, rows)
            self._published += [row.id for row in rows]
            for _ in batches:
                self._queue.task_done()
