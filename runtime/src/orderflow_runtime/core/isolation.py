"""Runs an author's code so that what it raises is its own failure and nobody else's.

Some exceptions speak to whoever runs the code: `CancelledError` ends a task, `SystemExit` a process. From a handler or
a port they would end the worker, or leave a call that nobody waits for, and again after each restart.
Source: asyncio, "Task Cancellation": `Task.cancelling` tells who was asked to end. `SystemExit` in any task ends the
loop, which is why tasks that the code makes are contained as well.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_is_authored: ContextVar[bool] = ContextVar("is_authored", default=False)


class StrayExceptionError(Exception):
    """An author's code raised what is meant for a task or the process: catch it there, and raise an `Exception`."""


async def run_isolated(function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call an author's function in a task of its own and return its result.

    A time-out that the code leaves open cancels the task that opened it, also long after: that must not be the worker.
    Raise `StrayExceptionError` for what would end more than the code, `CancelledError` only where the caller is
    cancelled.
    """
    caller = asyncio.current_task()
    assert caller is not None  # noqa: S101 - a coroutine runs in a task
    asked = caller.cancelling()
    called = asyncio.create_task(_call(function, *args, **kwargs))
    with contextlib.suppress(BaseException):  # the task keeps what it ends with; a cancellation is handed on to it
        await called
    if caller.cancelling() > asked:
        raise asyncio.CancelledError
    if called.cancelled():
        raise StrayExceptionError("it was cancelled, by a task or a time-out of its own, and did not catch that")
    return called.result()


def containing_tasks(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Return an author's function, for who calls it in a task of its own: the tasks that it makes are contained."""

    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        _contain_tasks()
        return await function(*args, **kwargs)

    return call


def _contain_tasks() -> None:
    """Have the tasks that this one makes from now on, and those they make, contained as an author's."""
    asyncio.get_running_loop().set_task_factory(_make_task)
    _is_authored.set(True)


async def _call(function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
    _contain_tasks()
    return await _contained(_begun(function, *args, **kwargs))


async def _begun(function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
    return await function(*args, **kwargs)


def _make_task(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> "asyncio.Task[Any]":
    """Make a task; one that an author's code makes is contained as that is."""
    if not _is_authored.get():
        return asyncio.Task(work, loop=loop, **options)
    task = asyncio.Task(_contained(work), loop=loop, **options)
    task.add_done_callback(lambda _: work.close())  # one that is cancelled before it begins awaits nothing
    return task


async def _contained(work: Awaitable[R]) -> R:
    try:
        return await work
    except (Exception, asyncio.CancelledError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise StrayExceptionError(f"it raised {type(error).__name__}, which would end more than itself") from error
