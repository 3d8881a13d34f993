"""Runs an author's code so that what it raises is its own failure and nobody else's.

Some exceptions speak to whoever runs the code: `CancelledError` ends a task, `SystemExit` a process. From a handler or
a port they would end the worker, or leave a call that nobody waits for, and again after each restart.
Source: asyncio, "Task Cancellation" (`Task.cancelling` tells who was asked to end).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


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
    called = asyncio.create_task(_contained(function, *args, **kwargs))
    with contextlib.suppress(BaseException):  # the task keeps what it ends with; a cancellation is handed on to it
        await called
    if caller.cancelling() > asked:
        raise asyncio.CancelledError
    if called.cancelled():
        raise StrayExceptionError("it was cancelled, by a task or a time-out of its own, and did not catch that")
    return called.result()


async def _contained(function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
    try:
        return await function(*args, **kwargs)
    except (Exception, asyncio.CancelledError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise StrayExceptionError(f"it raised {type(error).__name__}, which would end more than itself") from error
