"""Turns: one at a time per flow, many events one turn, later and later where nothing settles."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.kubernetes.client import ApiError
from orderflow_operator.reconciler.outcome import Outcome
from orderflow_operator.reconciler.workqueue import Queue

A, B = FlowKey("n", "a"), FlowKey("n", "b")


@asynccontextmanager
async def serving(work: Callable[[FlowKey], Awaitable[Outcome]], workers: int = 4) -> AsyncIterator[Queue]:
    """A queue at work."""
    queue = Queue(work, workers)
    task = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_many_events_are_one_turn() -> None:
    """What happens before the turn is part of it."""
    turns: list[FlowKey] = []

    async def work(key: FlowKey) -> Outcome:
        turns.append(key)
        return Outcome.SETTLED

    async with serving(work) as queue:
        for _ in range(100):
            queue.add(A)
        queue.add(B)
        await asyncio.sleep(0.3)
    assert sorted(turns) == [A, B]


async def test_a_flow_has_one_turn_at_a_time_and_misses_nothing() -> None:
    """An event during a turn makes one further turn, after it."""
    running, most, turns = 0, 0, 0

    async def work(_: FlowKey) -> Outcome:
        nonlocal running, most, turns
        running, turns = running + 1, turns + 1
        most = max(most, running)
        await asyncio.sleep(0.1)
        running -= 1
        return Outcome.SETTLED

    async with serving(work) as queue:
        queue.add(A, 0)
        await asyncio.sleep(0.05)
        queue.add(A, 0)
        queue.add(A, 0)
        await asyncio.sleep(0.5)
    assert (most, turns) == (1, 2)


async def test_one_slow_flow_does_not_hold_up_another() -> None:
    """Other workers go on."""
    done = asyncio.Event()

    async def work(key: FlowKey) -> Outcome:
        if key == A:
            await asyncio.sleep(60)
        done.set()
        return Outcome.SETTLED

    async with serving(work, workers=2) as queue:
        queue.add(A, 0)
        queue.add(A, 0)
        queue.add(B, 0)
        await asyncio.wait_for(done.wait(), 5)


async def test_errors_are_turns_that_come_again() -> None:
    """Neither the API server's refusals nor our own mistakes end the worker."""
    turns = 0

    async def work(_: FlowKey) -> Outcome:
        nonlocal turns
        turns += 1
        match turns:
            case 1:
                raise ApiError(500, "InternalError", "boom")
            case 2:
                raise KeyError("a mistake")
            case _:
                return Outcome.SETTLED

    async with serving(work) as queue:
        queue.add(A, 0)
        for _ in range(100):
            await asyncio.sleep(0.1)
            if turns == 3:
                break
    assert turns == 3


async def test_a_flow_that_is_gone_has_no_further_turn() -> None:
    """Nothing is looked for that nobody has."""
    turns = 0

    async def work(_: FlowKey) -> Outcome:
        nonlocal turns
        turns += 1
        return Outcome.GONE

    async with serving(work) as queue:
        queue.add(A, 0)
        await asyncio.sleep(1)
        assert queue.waiting() == 0
    assert turns == 1
