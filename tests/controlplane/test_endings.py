"""How a flow ends: edited, recreated, without its namespace, its CRD or Strimzi. All end clean."""

import asyncio
from contextlib import suppress

import pytest

from support.cluster.api import Api, ApiError
from support.cluster.controlplane import ControlPlane
from support.cluster.operator_process import bind_everywhere
from support.cluster.stand import Stand, stand_of
from support.flow.fleet import until
from support.flow.flows import changed, pair

OUR_CRD = "orderflows.orderflow.dev"


async def begin(stand: Stand, policy: str = "Retain") -> None:
    """Make the small flow ready, with a deletion policy."""
    await stand.start()
    await stand.apply(changed(pair(), "spec.deletionPolicy", policy))
    await stand.until_ready("pair")


async def until_clean(stand: Stand, kept: tuple[str, ...] = ()) -> None:
    """Wait until nothing of a flow is left but these kinds."""

    async def clean() -> bool:
        return {kind for kind, _ in await stand.made()} <= set(kept)

    try:
        await until(clean, "", 60)
    except AssertionError:
        raise AssertionError(f"left: {sorted(await stand.made())}\n{stand.operator.tail()}") from None


async def test_a_deleted_flow_leaves_its_topics_and_nothing_else(stand: Stand) -> None:
    """Under Retain topics stay, with their events; services, identities and Secrets go."""
    await begin(stand)
    await stand.api.delete("OrderFlow", stand.namespace, "pair")
    await stand.until_gone("OrderFlow", "pair")
    await until_clean(stand, ("KafkaTopic",))
    topics = {name for kind, name in await stand.made() if kind == "KafkaTopic"}
    assert topics == {"pair.asked", "pair.answered", "pair.asker.dead-letters", "pair.answerer.dead-letters"}


async def test_a_deleted_flow_takes_its_topics_along_when_it_says_so(stand: Stand) -> None:
    """Under Delete nothing is left."""
    await begin(stand, "Delete")
    await stand.api.delete("OrderFlow", stand.namespace, "pair")
    await stand.until_gone("OrderFlow", "pair")
    await until_clean(stand)


async def test_a_flow_edited_while_it_is_deleted_is_still_deleted(stand: Stand) -> None:
    """An edit after the deletion brings nothing back."""
    await begin(stand, "Delete")
    await stand.api.delete("OrderFlow", stand.namespace, "pair")
    for number in range(20):
        services = changed(pair(), "spec.services.0.image", f"example/asker:{number}")["spec"]["services"]
        with suppress(ApiError):  # it may be gone by now
            await stand.api.patch("OrderFlow", stand.namespace, "pair", {"spec": {"services": services}})
    await stand.until_gone("OrderFlow", "pair")
    await until_clean(stand)


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
async def test_a_flow_recreated_under_its_name_is_whole_again(stand: Stand, policy: str) -> None:
    """Retained topics are taken up by the new flow of the same name; all of it is the new one's."""
    await begin(stand, policy)
    for _ in range(2):
        await stand.api.delete("OrderFlow", stand.namespace, "pair")
        await stand.until_gone("OrderFlow", "pair")
        flow = await stand.apply(changed(pair(), "spec.deletionPolicy", policy))
        await stand.until_ready("pair")
    await stand.settle(2)
    for (kind, name), item in (await stand.made()).items():
        owners = [owner["uid"] for owner in item["metadata"].get("ownerReferences", ())]
        assert owners in ([flow["metadata"]["uid"]], [] if kind == "KafkaTopic" else None), (kind, name)


async def test_a_deleted_namespace_goes(stand: Stand) -> None:
    """With the operator watching and Strimzi's double at work, nothing holds the namespace back."""
    await bind_everywhere(stand.api, stand.namespace)
    await begin(stand, "Delete")
    await stand.api.delete("Namespace", "", stand.namespace)
    try:
        await until(lambda: _gone(stand.api, stand.namespace), "the namespace is gone", 120)
    except AssertionError:
        raise AssertionError(f"left: {sorted(await stand.made())}\n{stand.operator.tail()}") from None


async def test_a_namespace_goes_though_the_operator_is_gone(stand: Stand) -> None:
    """A flow whose all lies within its namespace needs no finalizer."""
    await begin(stand)
    await asyncio.to_thread(stand.operator.kill)
    flow = await stand.flow("pair") or {}
    assert not flow["metadata"].get("finalizers")
    await stand.api.delete("Namespace", "", stand.namespace)
    await until(lambda: _gone(stand.api, stand.namespace), "the namespace is gone", 120)


async def _gone(api: Api, name: str) -> bool:
    return await api.get("Namespace", "", name) is None


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
async def test_a_flow_ends_though_strimzi_is_gone(private_plane: ControlPlane, policy: str) -> None:
    """Strimzi and its CRDs are taken away first; the flow still ends, and so does its namespace."""
    async with stand_of(private_plane) as stand:
        await begin(stand, policy)
        for name in ("kafkatopics", "kafkausers"):
            await stand.api.delete("CustomResourceDefinition", "", f"{name}.kafka.strimzi.io")
        await until(lambda: _no_crd(stand.api, "kafkatopics.kafka.strimzi.io"), "Strimzi's CRD is gone", 90)
        await stand.until("pair", "Ready", "False", seconds=60)
        await stand.api.delete("OrderFlow", stand.namespace, "pair")
        await stand.until_gone("OrderFlow", "pair")
        await until_clean(stand)


async def test_the_crd_can_be_deleted_and_come_back(private_plane: ControlPlane) -> None:
    """All flows end with their CRD; the operator lives, and works for the next flow once the CRD is there again."""
    async with stand_of(private_plane) as stand:
        await begin(stand)
        crd = await stand.api.get("CustomResourceDefinition", "", OUR_CRD) or {}
        await stand.api.delete("CustomResourceDefinition", "", OUR_CRD)
        await until(lambda: _no_crd(stand.api, OUR_CRD), "the CRD is gone", 90)
        await until_clean(stand, ("KafkaTopic",))
        again = {key: crd[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": {"name": OUR_CRD}}
        await stand.api.create(again)
        await until(lambda: _listed(stand.api), "the CRD is served", 60)
        await stand.apply(pair())
        await stand.until_ready("pair", 180)


async def _no_crd(api: Api, name: str) -> bool:
    return await api.get("CustomResourceDefinition", "", name) is None


async def _listed(api: Api) -> bool:
    try:
        await api.call("GET", "/apis/orderflow.dev/v1alpha1/orderflows")
    except ApiError:
        return False
    return True
