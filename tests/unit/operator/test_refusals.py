"""How a turn that refuses a flow ends, with doubles for the cluster and Kafka: by that the queue gives the next one."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.kubernetes.errors import FlowError, KafkaMovedError, KafkaUnavailableError
from orderflow_operator.reconciler.context import Dependencies
from orderflow_operator.reconciler.outcome import Outcome
from orderflow_operator.reconciler.ownership import OwnershipIndex
from orderflow_operator.reconciler.recent import Recent
from orderflow_operator.reconciler.reconcile import reconcile

KEY = FlowKey("team-a", "shop")


class Cluster:
    """One flow, of which nothing is there; what is written of its status is kept."""

    def __init__(self, flow: dict[str, Any]) -> None:
        self._flow = flow
        self.written: list[dict[str, Any]] = []

    async def flow(self, _: FlowKey) -> dict[str, Any]:
        """Give it."""
        return self._flow

    def objects(self, _: FlowKey) -> dict[str, Any]:
        """Give nothing."""
        return {}

    async def write_status(self, _: FlowKey, uid: str, status: dict[str, Any]) -> None:
        """Keep it."""
        self.written.append(status)

    async def post_event(self, _: dict[str, Any]) -> None:
        """Let it be."""


async def turn(flow: dict[str, Any], problem: FlowError | None) -> tuple[Outcome, str]:
    """Take one; give how it ended and the reason that Ready has. Kafka has that to say of the flow's place."""
    cluster = Cluster(flow)

    async def check_place(*_: object) -> None:
        if problem:
            raise problem

    deps = SimpleNamespace(
        cluster=cluster,
        ownership=OwnershipIndex(),
        readings=Recent(),
        provisioning=SimpleNamespace(check_place=check_place),
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
        wake=lambda _: None,
    )
    outcome = await reconcile(KEY, cast("Dependencies", deps))
    ready = next(one for one in cluster.written[-1]["conditions"] if one["type"] == "Ready")
    return outcome, ready["reason"]


@pytest.mark.parametrize(
    "problem",
    [KafkaUnavailableError("kafka:9092", "timed out"), KafkaMovedError(KEY, "shop.kafka", "kafka:9092", "b", ["a"])],
)
async def test_what_only_kafka_can_say_is_asked_again_soon(document: dict[str, Any], problem: FlowError) -> None:
    """No watch tells that brokers answer by now, or that what is at others was given up."""
    assert await turn(document, problem) == (Outcome.TROUBLED, problem.reason)


async def test_what_the_resource_itself_says_wrong_waits_for_an_edit(document: dict[str, Any]) -> None:
    """Another turn would find the same."""
    document["spec"]["services"][0]["publishes"] = ["NOT_DECLARED"]
    assert await turn(document, None) == (Outcome.SETTLED, "Invalid")
