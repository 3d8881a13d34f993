"""Jobs on a real Postgres: each item is done, through pauses, failures and the death of the process that runs them."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

import pytest

from orderflow_console.actions.jobs.runner import JobRunner
from orderflow_console.actions.jobs.store import Job, JobState, JobStore, Result
from orderflow_console.actions.own_tables import OwnTables
from orderflow_console.queries.errors import ReadError
from orderflow_model.postgres_uri import PostgresUri

ITEMS = [Result(f"item-{number:03}") for number in range(100)]
AT_ONCE = 10


class Hand:
    """Work that does ten items for each permit it is given, and counts how often each was done."""

    def __init__(self, permits: int) -> None:
        self.permits = asyncio.Semaphore(permits)
        self.done: Counter[str] = Counter()
        self.failure: ReadError | None = None

    async def work(self, job: Job, items: Sequence[str]) -> AsyncGenerator[list[Result], None]:
        """Do them."""
        for at in range(0, len(items), AT_ONCE):
            await self.permits.acquire()
            if self.failure:
                raise self.failure
            self.done.update(items[at : at + AT_ONCE])
            yield [Result(item, "it is odd" if item.endswith("7") else None) for item in items[at : at + AT_ONCE]]


@pytest.fixture
async def store(database: str) -> AsyncIterator[JobStore]:
    """The jobs of an empty database."""
    tables = OwnTables(PostgresUri.parse(database))
    yield JobStore(tables)
    tables.close()


async def reached(store: JobStore, job: int, holds: Callable[[Job], bool]) -> Job:
    """Give the job as soon as it is so."""
    async with asyncio.timeout(20):
        while not holds(found := await store.get(job)):  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.01)
        return found


async def begin(runner: JobRunner, items: Sequence[Result] = ITEMS) -> int:
    """Start a job of the kind that the tests know."""
    return await runner.start("count", "payment", {"reason": "odd"}, "ada", items)


async def test_a_job_does_all_its_items_and_remembers_what_was_refused(store: JobStore) -> None:
    """Every item is done once; those refused, before or by the work, are told with their reason."""
    hand = Hand(1000)
    job = await begin(JobRunner(store, {"count": hand.work}), [*ITEMS, Result("never", "the limit")])
    found = await reached(store, job, lambda one: one.state is JobState.DONE)
    assert (found.total, found.tried, found.refused) == (101, 101, 11)
    assert set(hand.done) == {item.item for item in ITEMS}
    assert set(hand.done.values()) == {1}
    assert await store.refusals(job, "", 1000) == [
        *(Result(one.item, "it is odd") for one in ITEMS if one.item.endswith("7")),
        Result("never", "the limit"),
    ]
    assert (found.person, found.asked, found.target) == ("ada", {"reason": "odd"}, "payment")


async def test_a_job_stands_and_goes_on(store: JobStore) -> None:
    """A paused job stops behind the items under way, and goes on with what is left, each item once."""
    hand = Hand(3)
    runner = JobRunner(store, {"count": hand.work})
    job = await begin(runner)
    await reached(store, job, lambda one: one.tried == 30)
    await runner.pause(job)
    hand.permits.release()
    await reached(store, job, lambda one: one.state is JobState.PAUSED and one.tried == 40)
    for _ in range(100):
        hand.permits.release()
    await asyncio.sleep(0.1)
    assert (await store.get(job)).tried == 40
    await runner.go_on(job)
    await reached(store, job, lambda one: one.state is JobState.DONE and one.tried == 100)
    assert set(hand.done.values()) == {1}


async def test_a_job_outlives_its_process(store: JobStore) -> None:
    """What a process leaves, the next one does; what was noted is not done again."""
    first, second = Hand(3), Hand(1000)
    dying = JobRunner(store, {"count": first.work})
    job = await begin(dying)
    await reached(store, job, lambda one: one.tried == 30)
    await dying.stop()
    await JobRunner(store, {"count": second.work}).resume_all()
    await reached(store, job, lambda one: one.state is JobState.DONE)
    assert first.done.keys().isdisjoint(second.done)
    assert len(first.done) + len(second.done) == 100


async def test_a_job_that_cannot_go_on_says_why(store: JobStore) -> None:
    """An answer that does not come lets the job stand, with the reason; it goes on when told to."""
    hand = Hand(1000)
    hand.failure = ReadError("Kafka is away", "Try again")
    runner = JobRunner(store, {"count": hand.work})
    job = await begin(runner)
    found = await reached(store, job, lambda one: one.state is JobState.PAUSED)
    assert found.problem == "Kafka is away. Try again"
    hand.failure = None
    await runner.go_on(job)
    found = await reached(store, job, lambda one: one.state is JobState.DONE)
    assert found.problem is None


async def test_a_hundred_thousand_items_begin_at_once(store: JobStore) -> None:
    """A job over a hundred thousand items begins within seconds, and its list stays quick."""
    hand = Hand(0)
    runner = JobRunner(store, {"count": hand.work})
    async with asyncio.timeout(10):
        job = await begin(runner, [Result(f"{number}") for number in range(100_000)])
    async with asyncio.timeout(1):
        assert (await store.latest())[0].id == job
    await runner.stop()


async def test_what_was_proposed_is_what_is_done(store: JobStore) -> None:
    """Nothing is done until somebody begins, in this process or the next; then all that was shown, and no more."""
    hand = Hand(1000)
    runner = JobRunner(store, {"count": hand.work})
    job = await store.create("count", "payment", {}, "ada", ITEMS)
    await JobRunner(store, {"count": hand.work}).resume_all()
    await runner.pause(job)
    assert (await store.get(job)).state is JobState.PROPOSED
    assert not hand.done
    await runner.go_on(job)
    found = await reached(store, job, lambda one: one.state is JobState.DONE)
    assert found.tried == len(hand.done) == len(ITEMS)
