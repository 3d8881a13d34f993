"""How long an end is waited for, with the operator's clock in hand. What it does is tested on a real API server."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from orderflow_model.flow import DeletionPolicy, OrderFlow
from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.kubernetes.kinds import DEPLOYMENT, ObjectKey
from orderflow_operator.reconciler.finalize import DATABASE_FINALIZER, finalize
from orderflow_operator.reconciler.outcome import Outcome
from orderflow_operator.resources.build_context import Database

KEY = FlowKey("shop", "shop")
DELETED = datetime(2030, 1, 1, tzinfo=UTC)


class Cluster:
    """A namespace with one Deployment, whose pod ends when its test says so; what is told is kept."""

    def __init__(self) -> None:
        self.removed: list[ObjectKey] = []
        self.running = True
        self.told: list[str] = []

    def objects(self, key: FlowKey) -> dict[ObjectKey, Any]:
        """Give what there is."""
        return {ObjectKey(DEPLOYMENT, f"{key.name}-order"): None} if self.running else {}

    async def pods(self, key: FlowKey) -> list[dict[str, Any]]:
        """Give the pod that is still there."""
        pod = {"metadata": {"name": f"{key.name}-order-1", "labels": {"orderflow.dev/service": "order"}}}
        return [pod] if self.running else []

    async def namespace_ends(self, namespace: str) -> bool:
        """The namespace stays."""
        return False

    async def remove(self, key: FlowKey, named: ObjectKey) -> None:
        """Note what is taken away."""
        self.removed.append(named)

    async def post_event(self, event: dict[str, Any]) -> None:
        """Keep its words."""
        self.told.append(event["message"])

    async def write_finalizers(self, key: FlowKey, version: str, finalizers: list[str]) -> None:
        """Let the flow go."""
        assert not finalizers


@pytest.fixture
def flow(shop: OrderFlow) -> OrderFlow:
    """The reference flow, whose data goes with it."""
    return shop.model_copy(update={"spec": shop.spec.model_copy(update={"deletion_policy": DeletionPolicy.DELETE})})


METADATA = {
    "name": "shop",
    "namespace": "shop",
    "uid": "u",
    "finalizers": [DATABASE_FINALIZER],
    "deletionTimestamp": "2030-01-01T00:00:00Z",
    "resourceVersion": "1",
}


@pytest.mark.parametrize("away", [0, 70, 600])
async def test_an_operator_that_was_away_ends_the_pods_first(flow: OrderFlow, away: int) -> None:
    """However long ago a flow was deleted: nothing is dropped under pods that nobody has ended yet."""
    cluster, started = Cluster(), DELETED + timedelta(seconds=away)
    deps: Any = SimpleNamespace(cluster=cluster, started=started, now=lambda: started + timedelta(seconds=2))
    assert await finalize(KEY, {"metadata": METADATA}, flow, deps) is Outcome.ENDING
    assert cluster.removed == [ObjectKey(DEPLOYMENT, "shop-order")]


@pytest.mark.parametrize("noted", [["b"], ["a", "b"]])
async def test_data_that_is_in_another_database_by_now_is_told_of(flow: OrderFlow, noted: list[str]) -> None:
    """Also where the flow names one again that it had left: what would be dropped there is not all."""

    async def check_named(*_: object) -> None:
        return None

    async def admin(*_: object) -> SimpleNamespace:
        return SimpleNamespace(database=Database("a"))

    cluster = Cluster()
    cluster.running = False
    order = {"name": "order", "image": "i", "ready": 1, "desired": 1, "databases": noted}
    deps: Any = SimpleNamespace(
        cluster=cluster,
        started=DELETED,
        now=lambda: DELETED + timedelta(seconds=2),
        credentials=SimpleNamespace(check_named=check_named, admin=admin),
        provisioning=SimpleNamespace(forget=lambda _: None),
    )
    raw = {"metadata": METADATA, "status": {"services": [order]}}
    assert await finalize(KEY, raw, flow, deps) is Outcome.SETTLED
    assert "order had it in another database" in cluster.told[0]
