"""Publishes what batches committed, in order, while the worker goes on with the next batch.

Rows are known to be published when Kafka has acknowledged them; the worker's next transaction deletes them. Should
the process die before, the next owner publishes them again and the consumers' inboxes drop the repeats.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence

from orderflow_runtime.core.store import OutboxRow
from orderflow_runtime.dispatch.publications import Publications

logger = logging.getLogger(__name__)

_AT_ONCE = 8


class Outbox:
    """The rows between commit and acknowledgement. `put` waits when Kafka falls behind: that is the back-pressure."""

    def __init__(self, publications: Publications, capacity: int = 16) -> None:
        self._publications = publications
        self._queue: asyncio.Queue[Sequence[OutboxRow]] = asyncio.Queue(capacity)
        self._running: asyncio.Task[None] | None = None

    @property
    def obstacle(self) -> str:
        """Return why nothing more is taken, or nothing."""
        return self._publications.obstacle

    @property
    def hindrance(self) -> str:
        """Return what Kafka refuses now, or nothing."""
        return self._publications.hindrance

    @property
    def waiting(self) -> Mapping[str, int]:
        """Return how many messages wait, by topic."""
        return self._publications.waiting

    @property
    def held(self) -> list[int]:
        """Return the rows of which something waits because it was refused."""
        return self._publications.held

    def start(self) -> None:
        """Begin to publish."""
        self._running = asyncio.create_task(self._run())

    async def put(self, rows: Sequence[OutboxRow]) -> None:
        """Hand in one batch's rows."""
        if self._running is not None and self._running.done():
            self._running.result()
        if rows:
            await self._queue.put(rows)

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        """Publish rows that a former owner left, before anything else; what is refused of them waits by itself."""
        await self._publications.publish(rows, left_behind=True)

    def take_published(self) -> list[int]:
        """Return the ids acknowledged since the last call."""
        return self._publications.take_published()

    def put_back(self, published: Sequence[int]) -> None:
        """Undo `take_published`: the transaction that was to delete these rows did not commit."""
        self._publications.put_back(published)

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
        self._publications.forget()
        self.start()

    async def stop(self) -> None:
        """Stop publishing."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._publications.keep_trying())
            while True:
                batches = [await self._queue.get()]
                while len(batches) < _AT_ONCE and not self._queue.empty():
                    batches.append(self._queue.get_nowait())
                await self._publications.publish([row for batch in batches for row in batch])
                for _ in batches:
                    self._queue.task_done()
