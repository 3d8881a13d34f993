"""Work in lanes: what has one key is done one after another, as it came; different keys are done beside each other."""

import asyncio
from collections.abc import Coroutine


class Lanes:
    """The work under way; whoever made it clears it in the end."""

    def __init__(self) -> None:
        self._last: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, key: str, work: Coroutine[None, None, None]) -> None:
        """Begin with it as soon as all of its key before it has ended, however it has."""
        task = asyncio.create_task(_after(self._last.get(key), work))
        self._last[key] = task
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._forget(key, done))

    async def rest(self, seconds: float) -> None:
        """Wait until all is done, or for so long."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def clear(self) -> None:
        """Cancel what is not done, and wait for its end."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, key: str, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if self._last.get(key) is task:
            del self._last[key]


async def _after(before: "asyncio.Task[None] | None", work: Coroutine[None, None, None]) -> None:
    try:
        if before is not None:
            await asyncio.wait([before])
    except asyncio.CancelledError:
        work.close()
        raise
    await work
