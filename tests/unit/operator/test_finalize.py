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

KEY = FlowKey("shop", "shop")
DELETED = datetime(2030, 1, 1, tzinfo=UTC)


class Cluster:
    """A namespace with one Deployment, whose pod ends when its test says so."""

    def __init__(self) -> None:
        self.removed: list[ObjectKey] = []

    def objects(self, key: FlowKey) -> dict[ObjectKey, Any]:
        """Give what there is."""
        return {ObjectKey(DEPLOYMENT, f"{key.name}-order"): None}

    async def pods(self, key: FlowKey) -> list[dict[str, Any]]:
        """Give the pod that is still there."""
        return [{"metadata": {"name": f"{key.name}-order-1", "labels": {"orderflow.dev/service": "order"}}}]

    async def namespace_ends(self, namespace: str) -> bool:
        """The namespace stays."""
        return False

    async def remove(self, key: FlowKey, named: ObjectKey) -> None:
        """Note what is taken away."""
        self.removed.append(named)


@pytest.mark.parametrize("away", [0, 70, 600])
async def test_an_operator_that_was_away_ends_the_pods_first(shop: OrderFlow, away: int) -> None:
    """However long ago a flow was deleted: nothing is dropped under pods that nobody has ended yet."""
    flow = shop.model_copy(update={"spec": shop.spec.model_copy(update={"deletion_policy": DeletionPolicy.DELETE})})
    metadata = {"finalizers": [DATABASE_FINALIZER], "deletionTimestamp": "2030-01-01T00:00:00Z", "resourceVersion": "1"}
    cluster, started = Cluster(), DELETED + timedelta(seconds=away)
    deps: Any = SimpleNamespace(cluster=cluster, started=started, now=lambda: started + timedelta(seconds=2))
    assert await finalize(KEY, {"metadata": metadata}, flow, deps) is Outcome.ENDING
    assert cluster.removed == [ObjectKey(DEPLOYMENT, "shop-order")]
