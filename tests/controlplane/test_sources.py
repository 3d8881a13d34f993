"""A queue is added to a flow and taken away: its program comes and goes, and nothing of it is at Kafka."""

import pytest

from support.cluster.api import ApiError, Json
from support.cluster.operator_env import OperatorEnv
from support.flow.flows import changed, pair
from support.flow.queue_bench import QUEUE, SOURCE

ERP: Json = SOURCE | {"into": {"service": "asker", "path": "/asked"}}


async def test_a_source_comes_with_its_secret_and_goes_without_a_trace_at_kafka(ready: OperatorEnv) -> None:
    """No pod is started before the Secret is there and for flows; then the flow is ready, and again without it."""
    before = set(await ready.made())
    await ready.apply(changed(pair(), "spec.sources", [ERP]))
    said = await ready.until("pair", "Ready", "False", "SecretNotUsable")
    assert "spec.sources[0].queue.uri.secretKeyRef" in said["message"]
    assert ("Deployment", "pair-erp") not in await ready.made()
    await ready.give_secret("erp", {"uri": "amqp://broker/"})
    await ready.until_ready("pair")
    added = set(await ready.made()) - before
    assert ("Deployment", "pair-erp") in added
    assert {kind for kind, _ in added} & {"KafkaUser", "KafkaTopic"} == set()
    await ready.apply(pair())
    await ready.until_ready("pair")
    await ready.settle(5)
    assert set(await ready.made()) == before


@pytest.mark.parametrize("queue", [QUEUE | {"refused": "orders"}, QUEUE | {"name": "x" * 250}, QUEUE | {"prefetch": 0}])
async def test_the_api_server_itself_refuses_what_cannot_be(ready: OperatorEnv, queue: Json) -> None:
    """By the rules of the CRD, the same that the lint has."""
    with pytest.raises(ApiError):
        await ready.apply(changed(pair(), "spec.sources", [ERP | {"queue": queue}]))
