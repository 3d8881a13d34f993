"""Works jobs off in the console's process.

What was done and not noted when a process died is tried again, so whatever a job does is safe to do twice.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing

from orderflow_console.actions.jobs.store import Job, JobState, JobStore, Result
from orderflow_console.queries.errors import InvalidQuestionError, ReadError

Work = Callable[[Job, Sequence[str]], AsyncGenerator[list[Result], None]]
"""Does something to a job's items, and yields what became of them, some at a time; raises `ReadError` to be paused."""

_AGAIN_SECONDS = 2.0
_log = logging.getLogger(__name__)


class JobRunner:
    """Runs jobs of the store until `stop`; `works` says how, by kind."""

    def __init__(self, store: JobStore, works: Mapping[str, Work]) -> None:
        self.store = store
        self._works = works
        self._running: dict[int, asyncio.Task[None]] = {}
        self._paused: set[int] = set()

    async def resume_all(self) -> None:
        """Go on with all that ran when an earlier process ended, as soon as the database tells which."""
        told = ""
        while True:
            try:
                for job in await self.store.running():
                    self._begin(job)
                return
            except ReadError as error:
                if str(error) != told:
                    told = str(error)
                    _log.warning("jobs wait: %s", told)
                await asyncio.sleep(_AGAIN_SECONDS)

    async def start(
        self,
        kind: str,
        target: str,
        asked: Mapping[str, str],
        person: str,
        items: Sequence[Result],
        work: Work | None = None,
    ) -> int:
        """Begin a job and return its number; `work` does it in this process alone. Raise `ReadError`."""
        number = await self.store.create(kind, target, asked, person, items)
        await self.go_on(number, work)
        return number

    async def pause(self, number: int) -> None:
        """Let a job stand once the items under way are noted; raise `ReadError`."""
        job = await self._ours(number)
        if number in self._running:
            self._paused.add(number)
        elif job.state is JobState.RUNNING:
            await self.store.set_state(number, JobState.PAUSED)

    async def go_on(self, number: int, work: Work | None = None) -> None:
        """Begin with a job that is proposed, or go on with one that stands; raise `ReadError`."""
        job = await self._ours(number)
        self._paused.discard(number)
        if job.state in (JobState.PROPOSED, JobState.PAUSED) and number not in self._running:
            await self.store.set_state(number, JobState.RUNNING)
            self._begin(job, work)

    async def _ours(self, number: int) -> Job:
        job = await self.store.get(number)
        if job.origin is not None:
            raise InvalidQuestionError(
                f"job {number} is done for a Redrive", "Approve or pause that: spec.approved, spec.paused"
            )
        return job

    async def stop(self) -> None:
        """End all work; a later process goes on with it."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _begin(self, job: Job, work: Work | None = None) -> None:
        """Work a job off, unless somebody else has begun with it in the meantime."""
        if job.id in self._running:
            return
        task = asyncio.create_task(self._run(job, work))
        self._running[job.id] = task
        task.add_done_callback(lambda _: self._running.pop(job.id, None))

    async def _run(self, job: Job, work: Work | None) -> None:
        """Work a job off, until its end or until it is to stand."""
        try:
            items = await self.store.left(job.id)
            work = work or self._works[job.kind]
            async with aclosing(work(job, items)) as outcomes:
                async for results in outcomes:
                    await self.store.note(job.id, results)
                    if job.id in self._paused:
                        self._paused.discard(job.id)
                        await self.store.set_state(job.id, JobState.PAUSED)
                        return
            await self.store.set_state(job.id, JobState.DONE)
        except ReadError as error:
            _log.warning("job %d stands: %s", job.id, error)
            await self._stand(job, str(error))
        except Exception as error:
            _log.exception("job %d stands", job.id)
            await self._stand(job, f"the console failed: {type(error).__name__}; its log says more")

    async def _stand(self, job: Job, problem: str) -> None:
        try:
            await self.store.set_state(job.id, JobState.PAUSED, problem)
        except ReadError:
            _log.warning("job %d goes on when the console is started again", job.id)
