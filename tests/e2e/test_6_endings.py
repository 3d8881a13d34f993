"""How a flow ends: deleted and applied again with all it had, and gone with its namespace."""

import time
from collections.abc import Callable

from support.cluster.cluster import Namespace, aside, helm, kubectl, until
from support.cluster.shop_in_cluster import ShopInCluster
from support.flow.background_orders import verdict
from support.flow.orders import Shop, mixture

FLOW = "orderflow.dev/flow=shop"
SERVICES = f"{FLOW},app.kubernetes.io/component=service"


async def test_a_deleted_flow_has_its_orders_when_it_is_applied_again(fleet: ShopInCluster, shop: Shop) -> None:
    """With Retain topics and data stay: earlier orders are there, new ones come besides, nothing is done twice."""
    orders = await shop.place_all(mixture(20))
    print(await verdict(fleet))
    before = [await shop.show(order) for order in orders]
    await aside(fleet.namespace.kubectl, "delete", "orderflow", "shop", "--timeout=90s")
    await aside(until, lambda: not fleet.namespace.pods(FLOW), "no pod is left")
    began = time.monotonic()
    await aside(fleet.apply)
    await aside(fleet.until_ready)
    print(f"Ready again after {time.monotonic() - began:.0f} s")
    assert [await shop.show(order) for order in orders] == before
    assert (await shop.until(await shop.place()))["state"] == "COMPLETED"
    print(await verdict(fleet))


async def test_an_uninstalled_operator_leaves_resource_kind_and_pods(
    fleet: ShopInCluster, shop: Shop, system: Namespace, install: Callable[..., None]
) -> None:
    """Without the operator orders go on; installed again it finds the flow as it was, and its own test passes."""
    before = set(fleet.namespace.pods(SERVICES))
    await aside(helm, "uninstall", "orderflow-operator", f"--namespace={system.name}", "--wait")
    assert kubectl("get", "crd", "orderflows.orderflow.dev", "--output=name")
    assert (await shop.until(await shop.place()))["state"] == "COMPLETED"
    await aside(install)
    await aside(system.rolled_out, "deployment/orderflow-operator")
    await aside(helm, "test", "orderflow-operator", f"--namespace={system.name}")
    assert set(fleet.namespace.pods(SERVICES)) == before
    await aside(fleet.change, "spec.saga.deadline", "17m")
    await aside(fleet.until_ready)


def test_a_namespace_goes_with_its_flow_and_the_operator_stays(fleet: ShopInCluster, system: Namespace) -> None:
    """Flow, Kafka, database and passwords are deleted in whatever order: the namespace is gone, and nobody hangs."""
    began = time.monotonic()
    restarts = _restarts(system)
    kubectl("delete", "namespace", fleet.namespace.name, "--timeout=150s", seconds=160)
    print(f"gone after {time.monotonic() - began:.0f} s")
    assert system.ready("app.kubernetes.io/name=orderflow-operator")
    assert _restarts(system) == restarts


def _restarts(system: Namespace) -> dict[str, int]:
    pods = system.pods("app.kubernetes.io/name=orderflow-operator").items()
    return {uid: pod["status"]["containerStatuses"][0]["restartCount"] for uid, pod in pods}
