"""What a team does to a running flow while orders come: more services, more pods, other images, another operator."""

import asyncio
from collections.abc import Callable

from support.cluster.cluster import Namespace, aside, until
from support.cluster.shop_in_cluster import LOYALTY, NEXT_IMAGE, ShopInCluster, of_service
from support.flow.background_orders import background_orders, verdict
from support.flow.fleet import until as eventually
from support.flow.orders import Shop

SERVICES = "orderflow.dev/flow=shop,app.kubernetes.io/component=service"


async def test_a_service_is_added_to_the_running_flow(fleet: ShopInCluster, shop: Shop) -> None:
    """One entry more: no other pod is touched, and points are granted once for every order, earlier ones included."""
    first = await shop.place()
    await shop.until(first, "COMPLETED")
    before = set(fleet.namespace.pods(SERVICES))
    async with background_orders(shop) as orders:
        await aside(fleet.change, f"spec.services.{len(fleet.manifest['spec']['services'])}", LOYALTY)
        await aside(fleet.until_ready)
        await eventually(lambda: fleet.count("SELECT count(*) FROM loyalty.grants"), "the first points")
    print(f"{orders.placed} orders: {await verdict(fleet)}")
    completed = "SELECT order_id, amount / 100 FROM \"order\".orders WHERE state = 'COMPLETED' ORDER BY 1"
    grants = await fleet.fetch("SELECT order_id, points FROM loyalty.grants ORDER BY 1")
    assert [tuple(row) for row in grants] == [tuple(row) for row in await fleet.fetch(completed)]
    assert first in {row["order_id"] for row in grants}
    assert before <= set(fleet.namespace.pods(SERVICES))


async def test_a_service_is_scaled_out_and_in(fleet: ShopInCluster, shop: Shop) -> None:
    """Two pods share the partitions of payment, and one takes them all again: nothing is lost or done twice."""
    scale = f"spec.services.{fleet.index('payment')}.scale"
    async with background_orders(shop) as orders:
        await aside(fleet.change, scale, {"min": 2, "max": 2, "lag": 500})
        await _owners(fleet, 2)
        await aside(fleet.until_ready)
        await aside(fleet.change, scale, {"min": 1, "max": 1, "lag": 500})
        await _owners(fleet, 1)
    print(f"{orders.placed} orders: {await verdict(fleet)}")


async def test_no_order_is_lost_while_every_image_changes(fleet: ShopInCluster, shop: Shop) -> None:
    """All services get another image at once: pods are replaced one by one, and no request stays unanswered."""
    before = set(fleet.namespace.pods(SERVICES))
    changed = [one | {"image": NEXT_IMAGE} for one in fleet.manifest["spec"]["services"]]
    async with background_orders(shop) as orders:
        await aside(fleet.change, "spec.services", changed)
        took = await aside(fleet.until_ready)
    print(f"Ready after {took:.0f} s; {orders.placed} orders: {await verdict(fleet)}")
    pods = await aside(fleet.namespace.pods, SERVICES)
    assert {pod["spec"]["containers"][0]["image"] for pod in pods.values()} == {NEXT_IMAGE}
    kept = before & set(pods)
    assert all("loyalty" in pods[uid]["metadata"]["name"] for uid in kept)  # it had that image before


async def test_the_operator_is_upgraded_while_orders_flow(
    fleet: ShopInCluster, shop: Shop, system: Namespace, install: Callable[..., None]
) -> None:
    """Another revision of the operator's chart: no pod of the flow is touched, and the new operator takes changes."""
    before = set(fleet.namespace.pods(SERVICES))
    async with background_orders(shop) as orders:
        await aside(install, "--set=logLevel=DEBUG")
        await aside(system.rolled_out, "deployment/orderflow-operator")
        await asyncio.sleep(2)
        assert set(fleet.namespace.pods(SERVICES)) == before
        await aside(fleet.change, "spec.saga.deadline", "16m")
        await aside(fleet.until_ready)
    print(f"{orders.placed} orders: {await verdict(fleet)}")


async def test_an_operator_that_dies_at_its_work_is_replaced_and_finishes_it(
    fleet: ShopInCluster, system: Namespace
) -> None:
    """Changes are applied and the operator is killed a moment later, at other moments each time: the last one holds."""
    limits = f"spec.services.{fleet.index('shipping')}.resources.limits"
    for turn, pause in enumerate((0.1, 0.6, 1.2)):
        await aside(fleet.change, limits, {"memory": f"{300 + turn}Mi"})
        await asyncio.sleep(pause)
        await aside(system.kill_and_wait, "app.kubernetes.io/name=orderflow-operator")
    await aside(fleet.until_ready)
    await aside(until, lambda: _memory(fleet, "shipping") == ["302Mi"], "shipping runs as was asked last, and no other")


def _memory(fleet: ShopInCluster, service: str) -> list[str]:
    pods = fleet.namespace.pods(of_service(service)).values()
    return [pod["spec"]["containers"][0]["resources"]["limits"]["memory"] for pod in pods]


async def _owners(fleet: ShopInCluster, number: int) -> None:
    """Wait until so many pods share the partitions of payment."""
    query = "SELECT count(DISTINCT owner) FROM payment.offsets WHERE topic NOT LIKE '%dead%'"

    async def shared() -> bool:
        return await fleet.count(query) == number == len(fleet.namespace.ready(of_service("payment")))

    await eventually(shared, f"payment's partitions are shared by {number}", 120, 0.5)
