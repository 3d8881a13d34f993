"""Posts sample orders to the order service, at a steady rate or as fast as it takes them.

Every order carries its idempotency key, so an answer that is lost (the service was killed) is simply asked for again.
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import aiohttp

from orderflow_cli.errors import OrdersRefusedError

BATCH = 500
_LANES = 2  # batches under way at once: one is being committed while the next is being sent
_TICK_SECONDS = 0.1
_RETRY_SECONDS = 0.5
_TIMEOUT = aiohttp.ClientTimeout(total=30)


@dataclass
class Posted:
    """How many orders the service has taken so far, and whether all that were asked for have been sent."""

    orders: int = 0
    finished: bool = False


async def post_orders(url: str, orders: Iterable[dict[str, Any]], rate: float | None, posted: Posted) -> None:
    """Post orders to `url`/orders/batch until they are all taken; `rate` in orders a second, None: no limit.

    Raise `OrdersRefusedError` when the service refuses an order: a sample order is always meant to be valid.
    """
    source = iter(orders)
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        if rate is None:
            await asyncio.gather(*(_lane(session, url, source, posted) for _ in range(_LANES)))
        else:
            await _steadily(session, url, source, rate, posted)
    posted.finished = True


async def _lane(session: aiohttp.ClientSession, url: str, orders: Iterator[dict[str, Any]], posted: Posted) -> None:
    while batch := list(islice(orders, BATCH)):
        await _post(session, url, batch, posted)


async def _steadily(
    session: aiohttp.ClientSession, url: str, orders: Iterator[dict[str, Any]], rate: float, posted: Posted
) -> None:
    """Send what is due by the clock every tick, whatever the answers of earlier ones take."""
    loop = asyncio.get_running_loop()
    begun, sent = loop.time(), 0
    async with asyncio.TaskGroup() as group:
        while True:
            due = int((loop.time() - begun) * rate) - sent
            batch = list(islice(orders, min(due, BATCH)))
            if due > 0 and not batch:
                return
            if batch:
                sent += len(batch)
                group.create_task(_post(session, url, batch, posted))
            await asyncio.sleep(max(_TICK_SECONDS, 1 / rate))


async def _post(session: aiohttp.ClientSession, url: str, batch: list[dict[str, Any]], posted: Posted) -> None:
    results = await _attempt(session, url, batch)
    while results is None:
        await asyncio.sleep(_RETRY_SECONDS)
        results = await _attempt(session, url, batch)
    refused = next((result for result in results if result["status"] >= 400), None)
    if refused is not None:
        raise OrdersRefusedError(f"the order service refuses sample orders: {refused}", "Its log says more")
    posted.orders += len(batch)


async def _attempt(
    session: aiohttp.ClientSession, url: str, batch: list[dict[str, Any]]
) -> list[dict[str, Any]] | None:
    """Return the result of each order, or None when the service is away or busy and must be asked again."""
    try:
        async with session.post(f"{url}/orders/batch", json=batch) as answer:
            if answer.status >= 500 or answer.status == 429:
                return None
            if answer.status != 200:
                raise OrdersRefusedError(f"POST /orders/batch: {answer.status} {await answer.text()}", "See its log")
            results: list[dict[str, Any]] = (await answer.json())["results"]
            return results
    except (aiohttp.ClientError, TimeoutError):
        return None
