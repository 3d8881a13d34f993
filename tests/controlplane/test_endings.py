"""How a flow ends: edited, recreated, without its namespace, its CRD or Strimzi. All end clean."""

import asyncio
from contextlib import suppress

import pytest

from support.cluster.api import Api, ApiError
from support.cluster.controlplane import ControlPlane
from support.cluster.operator_env import SELDOM_S, OperatorEnv, new_env
from support.cluster.operator_process import bind_everywhere
from support.flow.fleet import until
from support.flow.flows import changed, pair

OUR_CRD = "orderflows.orderflow.dev"


async def begin(env: OperatorEnv, policy: str = "Retain") -> None:
    """Make the small flow ready, with a deletion policy."""
    await env.start()
    await env.apply(changed(pair(), "spec.deletionPolicy", policy))
    await env.until_ready("pair")


async def until_clean(env: OperatorEnv, kept: tuple[str, ...] = ()) -> None:
    """Wait until nothing of a flow is left but these kinds."""

    async def clean() -> bool:
        return {kind for kind, _ in await env.made()} <= set(kept)

    try:
        await until(clean, "", 60, every=SELDOM_S)
    except AssertionError:
        raise AssertionError(f"left: {sorted(await env.made())}\n{env.operator.tail()}") from None


async def test_a_deleted_flow_leaves_its_topics_and_nothing_else(env: OperatorEnv) -> None:
    """Under Retain topics stay, with their events; services, identities and Secrets go."""
    await begin(env)
    await env.api.delete("OrderFlow", env.namespace, "pair")
    await env.until_gone("OrderFlow", "pair")
    await until_clean(env, ("KafkaTopic",))
    topics = {name for kind, name in await env.made() if kind == "KafkaTopic"}
    assert topics == {"pair.asked", "pair.answered", "pair.asker.dead-letters", "pair.answerer.dead-letters"}


async def test_a_deleted_flow_takes_its_topics_along_when_it_says_so(env: OperatorEnv) -> None:
    """Under Delete nothing is left."""
    await begin(env, "Delete")
    await env.api.delete("OrderFlow", env.namespace, "pair")
    await env.until_gone("OrderFlow", "pair")
    await until_clean(env)


async def test_a_flow_edited_while_it_is_deleted_is_still_deleted(env: OperatorEnv) -> None:
    """An edit after the deletion brings nothing back."""
    await begin(env, "Delete")
    await env.api.delete("OrderFlow", env.namespace, "pair")
    for number in range(20):
        services = changed(pair(), "spec.services.0.image", f"example/asker:{number}")["spec"]["services"]
        with suppress(ApiError):  # it may be gone by now
            await env.api.patch("OrderFlow", env.namespace, "pair", {"spec": {"services": services}})
    await env.until_gone("OrderFlow", "pair")
    await until_clean(env)


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
async def test_a_flow_recreated_under_its_name_is_whole_again(env: OperatorEnv, policy: str) -> None:
    """Retained topics are taken up by the new flow of the same name; all of it is the new one's."""
    await begin(env, policy)
    for _ in range(2):
        await env.api.delete("OrderFlow", env.namespace, "pair")
        await env.until_gone("OrderFlow", "pair")
        flow = await env.apply(changed(pair(), "spec.deletionPolicy", policy))
        await env.until_ready("pair")
    await env.settle(2)
    for (kind, name), item in (await env.made()).items():
        owners = [owner["uid"] for owner in item["metadata"].get("ownerReferences", ())]
        assert owners in ([flow["metadata"]["uid"]], [] if kind == "KafkaTopic" else None), (kind, name)


async def test_a_deleted_namespace_goes(env: OperatorEnv) -> None:
    """With the operator watching and Strimzi's double at work, nothing holds the namespace back."""
    await bind_everywhere(env.api, env.namespace)
    await begin(env, "Delete")
    await env.api.delete("Namespace", "", env.namespace)
    try:
        await until(lambda: _gone(env.api, env.namespace), "the namespace is gone", 120)
    except AssertionError:
        raise AssertionError(f"left: {sorted(await env.made())}\n{env.operator.tail()}") from None


async def test_a_namespace_goes_though_the_operator_is_gone(env: OperatorEnv) -> None:
    """A flow whose all lies within its namespace needs no finalizer."""
    await begin(env)
    await asyncio.to_thread(env.operator.kill)
    flow = await env.flow("pair") or {}
    assert not flow["metadata"].get("finalizers")
    await env.api.delete("Namespace", "", env.namespace)
    await until(lambda: _gone(env.api, env.namespace), "the namespace is gone", 120)


async def _gone(api: Api, name: str) -> bool:
    return await api.get("Namespace", "", name) is None


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
async def test_a_flow_ends_though_strimzi_is_gone(private_plane: ControlPlane, policy: str) -> None:
    """Strimzi and its CRDs are taken away first; the flow still ends, and so does its namespace."""
    async with new_env(private_plane) as env:
        await begin(env, policy)
        for name in ("kafkatopics", "kafkausers"):
            await env.api.delete("CustomResourceDefinition", "", f"{name}.kafka.strimzi.io")
        await until(lambda: _no_crd(env.api, "kafkatopics.kafka.strimzi.io"), "Strimzi's CRD is gone", 90)
        await env.until("pair", "Ready", "False", seconds=60)
        await env.api.delete("OrderFlow", env.namespace, "pair")
        await env.until_gone("OrderFlow", "pair")
        await until_clean(env)


async def test_the_crd_can_be_deleted_and_come_back(private_plane: ControlPlane) -> None:
    """All flows end with their CRD; the operator lives, and works for the next flow once the CRD is there again."""
    async with new_env(private_plane) as env:
        await begin(env)
        crd = await env.api.get("CustomResourceDefinition", "", OUR_CRD) or {}
        await env.api.delete("CustomResourceDefinition", "", OUR_CRD)
        await until(lambda: _no_crd(env.api, OUR_CRD), "the CRD is gone", 90)
        await until_clean(env, ("KafkaTopic",))
        again = {key: crd[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": {"name": OUR_CRD}}
        await env.api.create(again)
        await until(lambda: _listed(env.api), "the CRD is served", 60)
        await env.apply(pair())
        await env.until_ready("pair", 180)


async def _no_crd(api: Api, name: str) -> bool:
    return await api.get("CustomResourceDefinition", "", name) is None


async def _listed(api: Api) -> bool:
    try:
        await api.call("GET", "/apis/orderflow.dev/v1alpha1/orderflows")
    except ApiError:
        return False
    return True
