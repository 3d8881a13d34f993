"""Deployed is not stable: what is not ready in its time is Degraded, with the reason."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.cluster.api import Api
from support.cluster.controlplane import ControlPlane
from support.cluster.operator_env import OperatorEnv
from support.cluster.operator_process import OperatorProcess, make_account
from support.cluster.pod_status import Fate
from support.flow.fleet import until
from support.flow.flows import changed, pair

DEADLINE_S = 5


@pytest.fixture
async def impatient(api: Api, namespace: str, served: ControlPlane, scratch: Path) -> AsyncIterator[OperatorEnv]:
    """An environment whose operator gives a rollout five seconds."""
    token = await make_account(api, namespace)
    options = ["--namespace", namespace, "--rollout-deadline", str(DEADLINE_S)]
    operator = OperatorProcess(served, namespace, token, scratch / f"operator-{namespace}", options)
    async with OperatorEnv(api, namespace, operator, served).open() as made:
        await made.start()
        yield made


async def test_a_rollout_past_its_deadline_is_degraded_until_it_is_mended(impatient: OperatorEnv) -> None:
    """The condition and an Event name service and reason; with pods that come up it turns again."""
    await impatient.apply(pair())
    await impatient.until_ready("pair")
    await impatient.kubelet.decide("asker", Fate.CRASH_LOOP, "ValueError: no provider")
    await impatient.apply(changed(pair(), "spec.services.0.image", "example/asker:2"))
    said = await impatient.until("pair", "Degraded", "True", "CrashLoopBackOff")
    assert "asker" in said["message"]
    assert "ValueError: no provider" in said["message"]
    await until(lambda: _is_told(impatient, "ValueError: no provider"), "an Event of the flow tells of it")
    await impatient.kubelet.decide("asker", Fate.READY)
    await impatient.until("pair", "Degraded", "False")
    await impatient.until_ready("pair")


async def test_a_new_rollout_has_its_own_time(impatient: OperatorEnv) -> None:
    """An edit that mends what was degraded is not degraded by the time before it."""
    await impatient.kubelet.decide("asker", Fate.IMAGE_PULL)
    await impatient.apply(pair())
    await impatient.until("pair", "Degraded", "True", "ImagePullBackOff")
    await impatient.kubelet.decide("asker", Fate.READY)
    await impatient.apply(changed(pair(), "spec.services.0.image", "example/asker:2"))
    await impatient.until_ready("pair")
    await asyncio.sleep(DEADLINE_S + 1)
    await impatient.until("pair", "Degraded", "False", seconds=5)


async def _is_told(env: OperatorEnv, words: str) -> bool:
    events = await env.api.list("Event", env.namespace)
    return any(words in event["message"] for event in events if event["involvedObject"]["kind"] == "OrderFlow")
