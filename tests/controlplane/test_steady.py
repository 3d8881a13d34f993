"""A flow at rest stays as it is: no write without a reason, drift healed, what others own left alone."""

import asyncio
import os
import signal
import time
from collections import Counter

import pytest

from support.cluster.api import Json
from support.cluster.operator_env import OperatorEnv
from support.flow.fleet import until
from support.flow.flows import pair, shop
from support.tools.programs import executed

HEALED_S = 5
ENDED_S = 10
DRIFTS: list[tuple[str, str, Json]] = [
    ("Deployment", "pair-asker", {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}}),
    ("Deployment", "pair-asker", {"metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}}}),
    ("Service", "pair-asker", {"spec": {"selector": {"orderflow.dev/service": "other"}}}),
    ("ConfigMap", "pair.autoscaler", {"data": {"username": "another"}}),
    (
        "Deployment",
        "pair-asker",
        {"spec": {"template": {"metadata": {"annotations": {"orderflow.dev/config": "{}"}}}}},
    ),
    ("NetworkPolicy", "pair", {"spec": {"egress": []}}),
    ("KafkaTopic", "pair.asked", {"spec": {"config": {"retention.ms": "1"}}}),
    ("KafkaUser", "pair-asker", {"spec": {"authorization": {"acls": []}}}),
    ("ServiceAccount", "pair.services", {"automountServiceAccountToken": True}),
    ("ScaledObject", "pair-answerer", {"spec": {"maxReplicaCount": 99}}),
]


async def test_a_resync_of_an_unchanged_flow_writes_nothing(env: OperatorEnv) -> None:
    """The audit log shows no write after all is ready, not on restarts, touches of the flow or new pods' heartbeats."""
    await env.start()
    await env.apply(shop())
    await env.until_ready("shop", 180)
    before = await env.settle()
    for label in ("a", "b"):  # events without a change for us
        await env.api.patch("OrderFlow", env.namespace, "shop", {"metadata": {"labels": {"touched": label}}})
        await asyncio.sleep(1)
    assert await env.settle() == before
    await asyncio.to_thread(env.operator.kill)
    await env.start()  # a resync of everything, with nothing remembered
    await asyncio.sleep(8)
    extra = env.writes()[before:]
    assert not extra, extra


async def test_a_new_flow_takes_one_call_an_object(steady: OperatorEnv) -> None:
    """What is made is not looked for before: of the calls, all but a few are the writes of the objects."""
    told = steady.plane.calls(steady.operator.user)
    calls = [call for call in told if "resource" in call and call["verb"] not in ("list", "watch")]
    reads = Counter(call["resource"] for call in calls if call["verb"] == "get")
    assert reads.keys() <= {"orderflows", "secrets"}, reads
    made = await steady.made()
    writes = Counter(call["resource"] for call in calls if call["verb"] == "patch")
    for resource in ("secrets", "configmaps", "kafkatopics", "kafkausers", "services"):
        there = sum(f"{kind.lower()}s" == resource for kind, _ in made)
        assert writes[resource] == there, f"{writes[resource]} writes of {there} {resource}"
    secrets = [(call["verb"], call["name"]) for call in calls if call["resource"] == "secrets"]
    first = {name: verb for verb, name in reversed(secrets)}
    assert {verb for name, verb in first.items() if name.endswith(".database")} == {"patch"}, secrets
    named = pair()["spec"]["database"]["secretKeyRef"]["name"]
    assert secrets.count(("get", named)) <= reads["orderflows"], "a turn looks at what the flow names once at most"
    print(f"{len(calls)} calls, {len(made)} objects, {reads['orderflows']} turns")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("kind", "name", "change"), DRIFTS, ids=[f"{kind}-{i}" for i, (kind, _, _) in enumerate(DRIFTS)]
)
async def test_drift_in_an_owned_field_is_healed(lasting: OperatorEnv, kind: str, name: str, change: Json) -> None:
    """What a person changes of ours is as it was within 5 s."""
    await at_rest(lasting)
    name = await lasting.named(kind, name)
    before = await lasting.api.get(kind, lasting.namespace, name)
    assert before
    await lasting.api.patch(kind, lasting.namespace, name, change)
    started = time.monotonic()

    async def healed() -> bool:
        found = await lasting.api.get(kind, lasting.namespace, name) or {}
        return own(found) == own(before)

    await until(healed, f"{kind} {name} is as it was", HEALED_S)
    print(f"{kind} {name}: healed in {time.monotonic() - started:.2f} s")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("kind", ["Deployment", "Service", "ConfigMap", "KafkaTopic", "ServiceAccount", "KafkaUser"])
async def test_a_deleted_object_comes_back(lasting: OperatorEnv, kind: str) -> None:
    """What a person deletes of ours is made again."""
    await at_rest(lasting)
    of_flow = {"KafkaTopic": "pair.asked", "ServiceAccount": "pair.services", "ConfigMap": "pair.autoscaler"}
    name = of_flow.get(kind) or await lasting.named(kind, "pair-asker")
    before = await lasting.api.get(kind, lasting.namespace, name)
    assert before
    await lasting.api.delete(kind, lasting.namespace, name)

    async def back() -> bool:
        found = await lasting.api.get(kind, lasting.namespace, name) or {}
        return bool(found) and found["metadata"]["uid"] != before["metadata"]["uid"]

    await until(back, f"{kind} {name} is back", 30)
    await lasting.until_ready("pair")


async def test_what_an_older_operator_made_of_each_service_goes(steady: OperatorEnv) -> None:
    """Its accounts and ConfigMaps are removed; what services prove themselves with stays, unless they have left."""
    await asyncio.to_thread(steady.operator.kill)
    for name in ("pair-asker", "pair-third"):
        for kind, called in (("ServiceAccount", name), ("ConfigMap", f"{name}.abcdef01")):
            await steady.make_as_older(kind, called)
    await steady.make_as_older("Secret", "pair-third.database")
    before = await steady.api.get("Secret", steady.namespace, "pair-asker.database") or {}
    await steady.start()
    for name in ("pair-asker", "pair-third"):
        await steady.until_gone("ServiceAccount", name)
        await steady.until_gone("ConfigMap", f"{name}.abcdef01")
    await steady.until_gone("Secret", "pair-third.database")
    await steady.until_ready("pair")
    after = await steady.api.get("Secret", steady.namespace, "pair-asker.database") or {}
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert await steady.api.get("ServiceAccount", steady.namespace, "pair.services")


async def test_what_others_own_is_left_alone(steady: OperatorEnv) -> None:
    """A person's annotation and label, and an autoscaler's replicas, stay."""
    note = {"metadata": {"annotations": {"person": "was here"}, "labels": {"team": "a"}}}
    await steady.api.patch("Deployment", steady.namespace, "pair-answerer", note | {"spec": {"replicas": 3}})
    await asyncio.sleep(5)
    found = await steady.api.get("Deployment", steady.namespace, "pair-answerer") or {}
    assert found["metadata"]["annotations"]["person"] == "was here"
    assert found["metadata"]["labels"]["team"] == "a"
    assert found["spec"]["replicas"] == 3


async def test_drift_while_the_operator_was_away_is_healed_at_its_start(steady: OperatorEnv) -> None:
    """What changed unseen is found: the operator compares, it does not remember."""
    await asyncio.to_thread(steady.operator.kill)
    await steady.api.delete("Service", steady.namespace, "pair-asker")
    await steady.api.patch("ConfigMap", steady.namespace, "pair.autoscaler", {"data": {"username": "another"}})
    await steady.start()

    async def healed() -> bool:
        found = await steady.api.get("ConfigMap", steady.namespace, "pair.autoscaler") or {}
        back = await steady.api.get("Service", steady.namespace, "pair-asker")
        return back is not None and found["data"]["username"] != "another"

    await until(healed, "both are as they were", 30)


async def test_an_operator_that_is_asked_to_end_ends(env: OperatorEnv) -> None:
    """SIGTERM ends it with code 0, and at once: an upgrade has nobody at work until it is gone."""
    env.operator.program = executed
    await env.start()
    await at_rest(env)
    started = time.monotonic()
    os.kill(env.operator.pid, signal.SIGTERM)
    assert await asyncio.to_thread(env.operator.stop) == 0
    took = time.monotonic() - started
    assert took < ENDED_S, f"it took {took:.1f} s"
    print(f"ended in {took:.2f} s")


@pytest.fixture
async def steady(env: OperatorEnv) -> OperatorEnv:
    """The small flow, ready and at rest."""
    await env.start()
    await at_rest(env)
    return env


async def at_rest(env: OperatorEnv) -> None:
    """Bring up the small flow, and wait until nothing is written any more."""
    await env.apply(pair())
    await env.until_ready("pair")
    await env.settle(2)


def own(item: Json) -> Json:
    """Give what a person sees of an object, the server's own bookkeeping aside."""
    metadata = item.get("metadata", {})
    labels = {"labels": metadata.get("labels"), "owners": metadata.get("ownerReferences")}
    return labels | {key: value for key, value in item.items() if key not in ("metadata", "status")}
