"""One call of an author's handler within a batch, of events, timers, outcomes or commands: bounded and isolated."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from orderflow_runtime.core.isolation import run_isolated
from orderflow_runtime.core.store import StoreUnavailable
from orderflow_runtime.dispatch.effects import Effects

R = TypeVar("R")


async def call_handler(
    handler: Callable[[Sequence[Any], Effects], Awaitable[Iterable[R]]],
    inputs: Sequence[Any],
    effects: Effects,
    seconds: float,
) -> list[R]:
    """Return all that a handler gives back for its inputs; raise what it fails with, `TimeoutError` after `seconds`.

    Raise `StoreUnavailable` when it waited for a statement then: one that does not end is Postgres's fault.
    """
    effects.in_statement = False
    try:
        async with asyncio.timeout(seconds) as limit:
            return await run_isolated(_listed, handler, inputs, effects)
    except TimeoutError:
        if effects.in_statement:
            raise StoreUnavailable(f"a statement outlasted the handler's time-out of {seconds:g} s") from None
        if limit.expired():
            raise TimeoutError(f"the handler had not ended after {seconds:g} s") from None
        raise


async def _listed(
    handler: Callable[[Sequence[Any], Effects], Awaitable[Iterable[R]]], inputs: Sequence[Any], effects: Effects
) -> list[R]:
    return list(await handler(inputs, effects))
