"""Orders through the order service's Service, of every fate, judged by the oracles of the other tiers."""

import logging
import time

from support.cluster.shop_in_cluster import ShopInCluster
from support.flow.oracles import judge, until_at_rest
from support.flow.orders import Shop, mixture


async def test_the_first_order_completes(fleet: ShopInCluster, shop: Shop) -> None:
    """The happy path, in a flow that has just become Ready."""
    order = await shop.place(lines=[("SKU-0001", 2, 1000), ("SKU-0002", 1, 500)])
    ended = await shop.until(order)
    assert (ended["state"], ended["amount"]) == ("COMPLETED", 2500)
    logging.getLogger("e2e").info("completed %.0f s after the flow was applied", time.monotonic() - fleet.applied)


async def test_orders_of_every_fate_end(fleet: ShopInCluster, shop: Shop) -> None:
    """A hundred orders at once, a quarter of which cannot be served, paid or shipped; then every oracle."""
    orders = await shop.place_all(mixture(100))
    await until_at_rest(fleet, await fleet.count('SELECT count(*) FROM "order".orders'))
    print(await judge(fleet))
    ended = await fleet.fetch('SELECT state FROM "order".orders WHERE order_id = ANY($1)', orders)
    assert [row["state"] for row in ended].count("CANCELLED") == 25
