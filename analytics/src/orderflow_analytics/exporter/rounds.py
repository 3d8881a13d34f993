"""Run after run, each a process of its own: what it held in memory is given back, and it may be killed anywhere.

A run that fails is tried again; the third in a row ends the program, whose last line says why, so that the platform
starts it anew after growing waits and the flow's conditions have its words.
"""

import asyncio
import logging
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from orderflow_analytics.errors import HELD_UP
from orderflow_analytics.exporter.schedule import next_time
from orderflow_runtime.ending import Ending

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 60.0
"""Between a run's end and the next one's begin, where the resource has no schedule, or a run has failed."""
_FAILURES = 3
_RUN = (sys.executable, "-m", "orderflow_analytics", "run")


class LakeFailsError(Exception):
    """Runs fail, one after the other; the message is what the last one said."""


class Rounds:
    """Brings a lake up to what is stored until the end is due. `obstacle` is why the last run failed, or nothing."""

    def __init__(
        self,
        env: Mapping[str, str],
        schedule: str | None,
        now: Callable[[], float],
        pause: float = _PAUSE_SECONDS,
        command: Sequence[str] = _RUN,
    ) -> None:
        self.obstacle, self.hindrance = "", ""
        self.registry = CollectorRegistry()
        self._env, self._schedule, self._now = env, schedule, now
        self._seconds, self._command = pause, command
        self._failures = 0
        ProcessCollector(registry=self.registry)
        self._failed = Counter("orderflow_lake_failed_runs", "Runs that failed", registry=self.registry)
        self._synced: Gauge | None = None

    async def run(self, ending: Ending) -> None:
        """Run until the end is due; raise `LakeFailsError`."""
        while not ending.due.is_set():
            began = self._now()
            done = await self._once(ending)
            if done is not None:
                self._note(began, *done)
            with suppress(TimeoutError):
                await asyncio.wait_for(ending.due.wait(), self._pause())

    def _pause(self) -> float:
        """Return for how many seconds nothing is to be done."""
        if self._schedule is None or self._failures:
            return self._seconds
        now = datetime.fromtimestamp(self._now(), UTC)
        return (next_time(self._schedule, now) - now).total_seconds()

    async def _once(self, ending: Ending) -> tuple[int, bool, str] | None:
        """Run once; return its exit code, whether it came to all that was stored, and its last words, or None when the
        end was due before, and it was killed."""
        run = await asyncio.create_subprocess_exec(*self._command, env=dict(self._env), stdout=PIPE, stderr=PIPE)
        talking, due = asyncio.create_task(run.communicate()), asyncio.create_task(ending.due.wait())
        await asyncio.wait([talking, due], return_when=asyncio.FIRST_COMPLETED)
        due.cancel()
        if not talking.done():
            run.kill()
            await talking
            return None
        told, said = (text.decode(errors="replace").strip() for text in talking.result())
        logger.info("%s", "; ".join(told.splitlines()))
        reached = not any(line.startswith(HELD_UP) for line in told.splitlines())
        return run.returncode or 0, reached, " ".join(said.splitlines()) or f"it ended with {run.returncode}"

    def _note(self, began: float, code: int, reached: bool, words: str) -> None:
        if code == 0:
            self.obstacle, self._failures = "", 0
            if not reached:
                return
            self._synced = self._synced or Gauge(
                "orderflow_lake_synced_timestamp_seconds",
                "Everything that was stored at this time is in the lake; not there before the first run",
                registry=self.registry,
            )
            self._synced.set(began)
            return
        self._failed.inc()
        self._failures += 1
        self.obstacle = words.removeprefix("orderflow analytics: ")
        if self._failures >= _FAILURES:
            raise LakeFailsError(self.obstacle)
        logger.warning("a run of the lake failed: %s", self.obstacle)
