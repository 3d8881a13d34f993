"""Pods of every service, Kafka and Postgres are killed in turn under a light load: nothing is lost or done twice."""

import time

import pytest

from support.cluster.cluster import aside
from support.cluster.shop_in_cluster import ShopInCluster, of_service
from support.flow.background_orders import background_orders, verdict
from support.flow.orders import Shop

VICTIMS = {
    "every service": [of_service(name) for name in ("order", "inventory", "payment", "shipping", "notification")],
    "Kafka": ["app.kubernetes.io/name=kafka"],
    "Postgres": ["app.kubernetes.io/name=postgres"],
}


@pytest.mark.parametrize("victims", VICTIMS.values(), ids=VICTIMS)
async def test_orders_outlive(fleet: ShopInCluster, shop: Shop, victims: list[str]) -> None:
    """Each is killed at once, without a good-bye, and the next one when it is back."""
    began = time.monotonic()
    async with background_orders(shop) as orders:
        for selector in victims:
            await aside(fleet.namespace.kill_and_wait, selector)
        await fleet.until_reachable()
    print(f"{time.monotonic() - began:.0f} s, {orders.placed} orders: {await verdict(fleet)}")
