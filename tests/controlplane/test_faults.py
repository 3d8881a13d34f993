"""The operator between faults: killed after each of its writes, and cut off from the API server in each known way.

A proxy stands between it and the API server. In the end all is as if nothing had happened.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from orderflow_cli.servers.kafka import Kafka
from support.cluster.api import Api, Json
from support.cluster.api_proxy import ApiProxy, Faults
from support.cluster.controlplane import ControlPlane
from support.cluster.kafka_rights import KafkaRights
from support.cluster.operator_env import OperatorEnv, new_namespace, operator_of
from support.cluster.operator_process import make_account
from support.cluster.snapshot import snapshot
from support.flow.fleet import until
from support.flow.flows import changed, pair
from support.tools.names import unique_name
from support.tools.portion import Portion

RECOVERY_S = 60
MOST_WRITES = 150
FAULTS = {
    "conflicts": Faults(conflict=0.3),
    "throttled": Faults(throttle=0.3),
    "server errors": Faults(broken=0.05),
    "watches expired": Faults(gone=True),
    "watches dropped": Faults(watch_seconds=5),
    "watches silent": Faults(silent=True),
    "token expired": Faults(expired=True),
    "all at once": Faults(conflict=0.3, throttle=0.3, broken=0.05, watch_seconds=5),
}


@pytest.fixture
async def proxy(served: ControlPlane) -> AsyncIterator[ApiProxy]:
    """The proxy before the shared API server."""
    async with ApiProxy(served.url).open() as opened:
        yield opened


@pytest.fixture
async def undisturbed(api: Api, served: ControlPlane, scratch: Path) -> dict[str, Json]:
    """What the small flow becomes when nothing happens."""
    async with new_namespace(api, unique_name("calm")) as namespace:
        operator = operator_of(served, namespace, await make_account(api, namespace), scratch)
        async with OperatorEnv(api, namespace, operator, served).open() as env:
            await env.start()
            await env.apply(pair())
            await env.until_ready("pair")
            await env.settle(2)
            return snapshot(await env.made(), namespace)


@pytest.mark.timeout(900)
async def test_killed_after_each_of_its_writes_it_converges_to_the_same_end(
    env: OperatorEnv, proxy: ApiProxy, undisturbed: dict[str, Json], chaos: Portion
) -> None:
    """Whole, each life of the operator makes one write; in the end all is made, once, and as without a kill."""
    await env.apply(pair())
    lives = await _live_and_die(env, proxy, lambda: _is_ready(env), chaos.turns(range(MOST_WRITES)))
    made = await env.made()
    assert (lives + 1) * chaos.of > len(made), "each object took its part of a life, and the status some more"
    assert snapshot(made, env.namespace) == undisturbed
    proxy.allowance = None
    await env.start(proxy.url)
    before = await env.settle()
    await asyncio.sleep(3)
    assert await env.settle(2) == before
    print(f"{lives} lives, each killed after its last write")


@pytest.mark.timeout(900)
async def test_killed_after_each_write_of_a_teardown_it_ends_clean(
    env: OperatorEnv, proxy: ApiProxy, kafka: Kafka, flow_name: str
) -> None:
    """No finalizer is left behind and nothing else, in Kubernetes or in Kafka, however often it dies on the way."""
    admin = {"provisioner": "Admin", "bootstrapServers": [kafka.bootstrap]}
    flow = changed(changed(pair(flow_name), "spec.kafka", admin), "spec.deletionPolicy", "Delete")
    await env.start()
    await env.apply(changed(flow, "spec.defaults", {"topic": {"replicas": 1}}))
    await env.until_ready(flow_name)
    await asyncio.to_thread(env.operator.kill)
    await env.api.delete("OrderFlow", env.namespace, flow_name)

    async def clean() -> bool:
        return await env.flow(flow_name) is None and not await env.made()

    assert await _live_and_die(env, proxy, clean, range(MOST_WRITES)) > 0, "it was killed on the way"
    assert KafkaRights(kafka.bootstrap).partitions(f"{flow_name}.asked") == 0


async def _live_and_die(
    env: OperatorEnv, proxy: ApiProxy, done: Callable[[], Awaitable[bool]], deaths: Sequence[int]
) -> int:
    """Start the operator again and again; give how often it was killed, once it is done.

    Its writes are counted through all of its lives, from 0; each life ends after the next of `deaths`.
    """

    def kill(method: str, path: str) -> None:
        if proxy.allowance == 0 and env.operator.running:
            os.kill(env.operator.pid, signal.SIGKILL)

    proxy.on_write = kill
    try:
        for life, (before, last) in enumerate(pairwise([-1, *deaths])):
            proxy.allowance = last - before
            env.operator.start(proxy.url)
            if not await _dies(env, done):
                return life
    finally:
        proxy.on_write = lambda method, path: None
        await asyncio.to_thread(env.operator.kill)
    last = "\n".join(map(str, env.writes()[-8:]))
    raise AssertionError(f"not done after {MOST_WRITES} writes, the last of them:\n{last}\n{env.operator.tail()}")


async def _dies(env: OperatorEnv, done: Callable[[], Awaitable[bool]]) -> bool:
    """Tell whether the operator dies before all has been done for a while."""
    quiet = 0
    while env.operator.running and quiet < 20:
        await asyncio.sleep(0.2)
        quiet = quiet + 1 if await done() else 0
    return not env.operator.running


async def _is_ready(env: OperatorEnv) -> bool:
    flow = await env.flow("pair") or {}
    conditions = flow.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


@pytest.mark.parametrize("name", FAULTS)
async def test_it_converges_soon_after_a_fault_ends(env: OperatorEnv, proxy: ApiProxy, name: str) -> None:
    """A flow is made and edited, and an object deleted, while the fault lasts; 60 s after its end all is right."""
    await env.start(proxy.url)
    await env.apply(pair())
    await env.until_ready("pair")
    proxy.faults = FAULTS[name]
    await env.apply(changed(pair(), "spec.services.0.image", "example/asker:2"))
    await env.apply(pair("born"))
    await asyncio.sleep(6)
    await env.api.delete("Service", env.namespace, "pair-asker")
    await env.apply(changed(pair(), "spec.services.0.image", "example/asker:3"))
    await asyncio.sleep(3)
    proxy.faults = Faults()
    loop = asyncio.get_running_loop()
    ended = loop.time()
    await until(lambda: _all_right(env), f"all is right\n{env.operator.tail()}", RECOVERY_S)
    print(f"{name}: converged {loop.time() - ended:.1f} s after the fault ended")
    assert env.operator.running


async def _all_right(env: OperatorEnv) -> bool:
    if not await _ready_now(env, "pair") or not await _ready_now(env, "born"):
        return False
    made = await env.made()
    image = made["Deployment", "pair-asker"]["spec"]["template"]["spec"]["containers"][0]["image"]
    return ("Service", "pair-asker") in made and image == "example/asker:3"


async def _ready_now(env: OperatorEnv, name: str) -> bool:
    flow = await env.flow(name) or {}
    for one in flow.get("status", {}).get("conditions", ()):
        if one["type"] == "Ready":
            return bool(one["status"] == "True" and one["observedGeneration"] == flow["metadata"]["generation"])
    return False


async def test_a_restarted_api_server_is_found_again(private_plane: ControlPlane, scratch: Path) -> None:
    """Every watch and connection ends; afterwards edits are taken up as before."""
    async with Api(private_plane.url, private_plane.token) as api, new_namespace(api, unique_name("ns")) as namespace:
        token = await make_account(api, namespace)
        operator = operator_of(private_plane, namespace, token, scratch)
        async with OperatorEnv(api, namespace, operator, private_plane).open() as env:
            await env.start()
            await env.apply(pair())
            await env.until_ready("pair")
            await asyncio.to_thread(private_plane.restart_apiserver)
            await env.apply(changed(pair(), "spec.services.0.image", "example/asker:2"))
            await env.until_ready("pair", RECOVERY_S)
            assert operator.running
