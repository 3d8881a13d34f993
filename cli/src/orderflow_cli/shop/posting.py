"""Posts sample orders to the order service, at a steady rate or as fast as it takes them."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from math import inf
from typing import Any

import aiohttp
from pydantic_core import to_json

from orderflow_cli.errors import OrdersRefusedError
from orderflow_cli.order_client import OrderClient

BATCH = 500
_LANES = 2  # batches under way at once: one is being committed while the next is being sent
_TICK_SECONDS = 0.1


@dataclass
class Posted:
    """How many orders the service has taken so far, and whether all that were asked for have been sent."""

    orders: int = 0
    finished: bool = False


async def post_orders(url: str, orders: Iterable[dict[str, Any]], rate: float | None, posted: Posted) -> None:
    """Post orders to `url`/orders/batch until they are all taken; `rate` in orders a second, None: no limit.

    A service that is away is waited for without end: it is being started again. Raise `OrdersRefusedError` when it
    refuses an order, for a sample order is always meant to be valid, and `NoOrderServiceError` when it is none.
    """
    source = (to_json(order) for order in orders)
    async with aiohttp.ClientSession() as session:
        client = OrderClient(session, url, patience=inf)
        if rate is None:
            await asyncio.gather(*(_lane(client, source, posted) for _ in range(_LANES)))
        else:
            await _steadily(client, source, rate, posted)
    posted.finished = True


async def _lane(client: OrderClient, orders: Iterator[bytes], posted: Posted) -> None:
    while batch := list(islice(orders, BATCH)):
        await _post(client, batch, posted)


async def _steadily(client: OrderClient, orders: Iterator[bytes], rate: float, posted: Posted) -> None:
    """Send what is due by the clock every tick, whatever the answers of earlier ones take."""
    try:
        async with asyncio.TaskGroup() as group:
            async for batch in _due(orders, rate):
                group.create_task(_post(client, batch, posted))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None  # one line for the person who runs it, as without a rate


async def _due(orders: Iterator[bytes], rate: float) -> AsyncIterator[list[bytes]]:
    """Yield batches of orders until there are no more."""
    loop = asyncio.get_running_loop()
    begun, sent = loop.time(), 0
    while True:
        due = int((loop.time() - begun) * rate) - sent
        batch = list(islice(orders, min(due, BATCH)))
        if due > 0 and not batch:
            return
        if batch:
            sent += len(batch)
            yield batch
        await asyncio.sleep(max(_TICK_SECONDS, 1 / rate))


async def _post(client: OrderClient, batch: list[bytes], posted: Posted) -> None:
    results = await client.place(batch)
    refused = next((result for result in results if result["status"] >= HTTPStatus.BAD_REQUEST), None)
    if refused is not None:
        raise OrdersRefusedError(f"the order service refuses sample orders: {refused}", "Its log says more")
    posted.orders += len(batch)
