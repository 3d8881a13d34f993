"""Orders one after another while something is done to the cluster, and what must hold of all orders afterwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from support.cluster.shop_in_cluster import ShopInCluster
from support.flow.oracles import judge, until_at_rest
from support.flow.orders import Shop, mixture

_PAUSE = 0.5


@dataclass
class BackgroundOrders:
    """How many orders were placed so far: each was answered, however often it had to be sent."""

    placed: int = 0


@asynccontextmanager
async def background_orders(shop: Shop, pause: float = _PAUSE) -> AsyncIterator[BackgroundOrders]:
    """Place orders of every fate while the context lasts; the last one is waited for."""
    count, ended = BackgroundOrders(), asyncio.Event()

    async def place() -> None:
        while not ended.is_set():
            await shop.place_all([mixture(20)[count.placed % 20]])
            count.placed += 1
            await asyncio.sleep(pause)

    placing = asyncio.create_task(place())
    try:
        yield count
    finally:
        ended.set()
        await asyncio.wait_for(placing, 120)


async def verdict(fleet: ShopInCluster, seconds: float = 120) -> str:
    """Wait until all there is has ended and been handled, let the oracles judge it, and give the figures."""
    await fleet.until_reachable(seconds)
    await until_at_rest(fleet, await fleet.count('SELECT count(*) FROM "order".orders'), seconds)
    return await judge(fleet)
