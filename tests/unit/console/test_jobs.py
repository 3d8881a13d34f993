"""Jobs when their process ends, starts and is asked twice, on a store in memory."""

import asyncio
import datetime as dt
import threading
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from orderflow_console.actions import redrive
from orderflow_console.actions.jobs import runner, works
from orderflow_console.actions.jobs.runner import JobRunner
from orderflow_console.actions.jobs.store import Job, JobState, JobStore, Result
from orderflow_console.actions.own_tables import OwnTables
from orderflow_console.actions.redrive import DeadLetters, Outcome, Repair
from orderflow_console.queries.errors import ReadError
from orderflow_console.queries.letter_records import DeadRecord
from orderflow_console.web.pages.jobs import stream
from orderflow_model.postgres_uri import PostgresUri

NOWHERE = PostgresUri.parse("postgresql://nobody@127.0.0.1:1/nothing")


class MemoryStore(JobStore):
    """Jobs that only run and stand; `away` is how often the database does not answer at first."""

    def __init__(self, jobs: int = 0, away: int = 0) -> None:
        super().__init__(OwnTables(NOWHERE))
        self.away = away
        self.jobs = {number: self._job(number) for number in range(1, jobs + 1)}

    async def create(
        self, kind: str, target: str, asked: Mapping[str, str], person: str, items: Sequence[Result]
    ) -> int:
        """Keep a job."""
        number = len(self.jobs) + 1
        self.jobs[number] = replace(self._job(number), state=JobState.PROPOSED)
        return number

    async def running(self) -> tuple[Job, ...]:
        """Give all that run."""
        if self.away:
            self.away -= 1
            raise ReadError("the database is away", "Wait")
        return tuple(job for job in self.jobs.values() if job.state is JobState.RUNNING)

    async def get(self, job: int) -> Job:
        """Give one."""
        await asyncio.sleep(0)
        return self.jobs[job]

    async def left(self, job: int) -> list[str]:
        """Give its one item."""
        return [str(uuid.UUID(int=job))]

    async def note(self, job: int, results: Sequence[Result]) -> None:
        """Forget what became of it."""

    async def set_state(self, job: int, state: JobState, problem: str | None = None) -> None:
        """Keep how it is."""
        await asyncio.sleep(0)
        self.jobs[job] = replace(self.jobs[job], state=state, problem=problem)

    @staticmethod
    def _job(number: int) -> Job:
        now = dt.datetime.now(dt.UTC)
        return Job(number, "work", "payment", {}, "ada", JobState.RUNNING, None, now, None, 1, 0, 0)


async def until_done(store: MemoryStore) -> None:
    """Wait for all jobs."""
    async with asyncio.timeout(5):
        while any(job.state is not JobState.DONE for job in store.jobs.values()):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.001)


async def test_all_that_ran_goes_on_however_much_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """More jobs than a list shows, and a database that answers late: each is worked off by the next process."""
    monkeypatch.setattr(runner, "_AGAIN_SECONDS", 0.001)
    done: Counter[int] = Counter()

    async def work(job: Job, items: Sequence[str]) -> AsyncGenerator[list[Result], None]:
        done[job.id] += 1
        yield [Result(item) for item in items]

    store = MemoryStore(jobs=150, away=3)
    await JobRunner(store, {"work": work}).resume_all()
    await until_done(store)
    assert done == dict.fromkeys(range(1, 151), 1)


async def test_a_database_that_is_away_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However long jobs wait for it, the log has one line about it."""
    monkeypatch.setattr(runner, "_AGAIN_SECONDS", 0.001)
    await JobRunner(MemoryStore(away=20), {}).resume_all()
    assert [record.message for record in caplog.records] == ["jobs wait: the database is away. Wait"]


async def test_a_job_told_twice_to_go_on_runs_once() -> None:
    """Two clicks at one moment are one run of its items."""
    runs = 0

    async def work(job: Job, items: Sequence[str]) -> AsyncGenerator[list[Result], None]:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.01)
        yield [Result(item) for item in items]

    store = MemoryStore(jobs=1)
    await store.set_state(1, JobState.PAUSED)
    jobs = JobRunner(store, {"work": work})
    await asyncio.gather(jobs.go_on(1), jobs.go_on(1))
    await until_done(store)
    assert runs == 1


async def test_a_redrive_under_way_when_the_console_ends_goes_on_with_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is neither done nor told to stand, though a thread is at it at that moment."""
    begun, may_end = threading.Event(), threading.Event()

    def slow(
        self: DeadLetters, ids: Collection[uuid.UUID], repairs: Mapping[uuid.UUID, Repair] = redrive.NOTHING
    ) -> Iterator[list[Outcome]]:
        begun.set()
        may_end.wait(5)
        yield [Outcome(one) for one in ids]

    monkeypatch.setattr(DeadLetters, "redrive", slow)
    store = MemoryStore()
    jobs = JobRunner(store, {"work": works.redrive("shop", {}, NOWHERE)})
    number = await jobs.start("work", "payment", {}, "ada", [])
    assert await asyncio.to_thread(begun.wait, 5)
    await jobs.stop()
    may_end.set()
    assert (store.jobs[number].state, store.jobs[number].problem) == (JobState.RUNNING, None)


async def test_an_order_that_breaks_its_service_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """All others are decided and noted before the job stands; where nothing is answered it stands at once."""

    async def decide(http: object, url: str, verb: str, order: str) -> str | None:
        if order == "7" or url == "away":
            raise ReadError("the order service answers 500", "Try again")
        return "it is late" if order == "3" else None

    monkeypatch.setattr(works, "decide_one", decide)
    http: Any = None
    job = MemoryStore(jobs=1).jobs[1]
    noted: list[Result] = []

    async def run(url: str) -> None:
        async for results in works.decide(http, url, "cancel")(job, [f"{number}" for number in range(100)]):
            noted.extend(results)

    with pytest.raises(ReadError, match="answers 500"):
        await run("there")
    assert [one.item for one in noted] == [f"{number}" for number in range(100) if number != 7]
    assert [one.item for one in noted if one.refused] == ["3"]
    noted.clear()
    with pytest.raises(ReadError, match="answers 500"):
        await run("away")
    assert noted == []


async def test_a_page_of_a_job_survives_a_database_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stream ends, so that a browser says it and asks anew; nothing breaks after the answer has begun."""
    store = MemoryStore()
    console: Any = SimpleNamespace(jobs=SimpleNamespace(store=store))
    stranger = SimpleNamespace(session=None)
    app = SimpleNamespace(state=SimpleNamespace(console=console))
    asked: Any = SimpleNamespace(app=app, state=stranger, path_params={"number": 1})

    async def away(_: int) -> Job:
        raise ReadError("the database is away", "Wait")

    monkeypatch.setattr(store, "get", away)
    answer: Any = await stream(asked)
    assert [part async for part in answer.body_iterator] == []


def test_a_letter_that_is_too_large_is_refused_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the client does not even send, such as a record that a repair made too large, is told as the broker's no."""
    record = DeadRecord(uuid.UUID(int=1), (0, 0), "shop.order-created", None, [], b"x" * 5_000_000)
    monkeypatch.setattr(redrive, "read_latest", lambda *_: iter([record]))
    letters = DeadLetters("shop", "payment", {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}, NOWHERE)
    ((outcome,),) = letters.redrive({record.id})
    assert outcome.refused is not None
    assert "too large" in outcome.refused
