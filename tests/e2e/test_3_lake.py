"""The lake's program as a pod, on an S3 in the cluster, from orders to marts.

Its image is some 750 MB, so that only `make e2e-lake` brings it into the cluster, and says so by ORDERFLOW_E2E_LAKE.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from support.cluster.cluster import Json, Namespace, aside, until
from support.cluster.shop_in_cluster import ShopInCluster, of_service
from support.cluster.store_in_cluster import KEYS_IN, make_store
from support.flow.oracles import until_at_rest
from support.flow.orders import Shop, mixture

pytestmark = pytest.mark.skipif(
    "ORDERFLOW_E2E_LAKE" not in os.environ, reason="the lake's image is large: make e2e-lake brings it into the cluster"
)
ANALYTICS: Json = {
    "image": "orderflow/services:dev",
    "contracts": "orderflow_shop.events",
    "models": "/analytics/shop",
    "lake": {
        "url": "s3://lake/shop",
        "image": "orderflow/analytics:dev",
        "endpoint": "http://store:9000",
        "credentials": KEYS_IN,
    },
}
A_RUN_SECONDS = 240
"""Within which a run begins, and ends, on a machine that does much else."""
ROWS = """
import json, sys
from deltalake import DeltaTable
rows = DeltaTable(f"s3://lake/shop/{sys.argv[1]}").to_pyarrow_table(sys.argv[2].split(",")).to_pylist()
print(json.dumps(rows))
"""


@pytest.fixture
def lake(fleet: ShopInCluster) -> Iterator[Namespace]:
    """The flow with a lake, Ready; afterwards it has none, as before."""
    make_store(fleet.namespace, "lake")
    fleet.change("spec.analytics", ANALYTICS)
    fleet.until_ready()
    yield fleet.namespace
    fleet.change("spec.analytics", None)
    fleet.until_ready()
    until(lambda: not fleet.namespace.pods(of_service("lake")), "the lake's pod is gone")


def rows_in(namespace: Namespace, table: str, *columns: str) -> list[dict[str, Any]]:
    """Return what a table of the lake holds, as the lake's own pod reads it."""
    said = namespace.kubectl("exec", "deployment/shop-lake", "--", "python", "-c", ROWS, table, ",".join(columns))
    found: list[dict[str, Any]] = json.loads(said)
    return found


async def test_orders_come_into_marts_by_a_pod(fleet: ShopInCluster, shop: Shop, lake: Namespace) -> None:
    """Every order with its outcome, also after the pod was killed; each event once, and kubectl tells of it."""
    await shop.place_all(mixture(20))
    await _is_in_the_marts(fleet, lake)
    await aside(lake.kill_and_wait, of_service("lake"))
    await shop.place_all(mixture(4))
    await _is_in_the_marts(fleet, lake)
    raw = Counter(row["event_id"] for row in await aside(rows_in, lake, "raw", "event_id"))
    assert raw == Counter({row["id"]: 1 for row in await fleet.fetch("SELECT id FROM raw.events")})
    said = await aside(lake.kubectl, "logs", "deployment/shop-lake")
    assert "marts: " in said
    assert "orderflow analytics: " not in said
    print(await aside(lake.kubectl, "get", "orderflow,deployment,pods", "--selector=orderflow.dev/flow=shop"))


async def _is_in_the_marts(fleet: ShopInCluster, lake: Namespace) -> None:
    """Wait until the mart of orders says what the order service's own table says."""
    await until_at_rest(fleet, await fleet.count('SELECT count(*) FROM "order".orders'))
    orders = {row["order_id"]: row["state"] for row in await fleet.fetch('SELECT order_id, state FROM "order".orders')}

    def same() -> bool:
        return {
            row["order_id"]: row["outcome"] for row in rows_in(lake, "serving/orders", "order_id", "outcome")
        } == orders

    await aside(until, same, "the marts have all orders", A_RUN_SECONDS, 5)
