"""What the operator may do: exactly what it does. Every test of this tier runs it with these rights and no others."""

import asyncio

from orderflow_cli.servers.kafka import Kafka
from support.cluster.api import Json
from support.cluster.operator_env import SELDOM_S, OperatorEnv
from support.cluster.operator_process import roles
from support.flow.fleet import until
from support.flow.flows import changed, pair, service

UNSEEN = {"create"}  # server-side apply asks for it beside patch, and the audit log names only patch
UNTRIED = {
    ("orderflows/finalizers", "update"),  # asked for by an admission plugin that is off here
    ("networkpolicies", "delete"),  # only what a deleted CRD leaves
    ("podmonitors", "delete"),  # where the other of the two is served no more: test_monitoring.py
    ("prometheusrules", "delete"),
    ("serviceaccounts", "delete"),  # those of an older operator: test_steady.py
}


def test_no_right_reaches_further_than_its_name() -> None:
    """No wildcard, no list of Secrets, no way into pods, none to more rights."""
    rules = [rule for role in roles() for rule in role["rules"]]
    for rule in rules:
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])
    granted = _granted()
    assert not {("secrets", "list"), ("secrets", "watch")} & granted
    assert {verb for resource, verb in granted if resource.startswith("pods")} == {"list"}


async def test_every_right_is_used_and_none_is_missed(env: OperatorEnv, kafka: Kafka, flow_name: str) -> None:
    """Flows of either provisioner are made, edited, shrunk and deleted; rights and calls are the same set."""
    await env.start()
    await _starve(env, _rich(pair("rich")))
    await _live_through(env, _rich(pair("rich")))
    admin = {"provisioner": "Admin", "bootstrapServers": [kafka.bootstrap]}
    plain = changed(changed(pair(flow_name), "spec.kafka", admin), "spec.defaults", {"topic": {"replicas": 1}})
    await _live_through(env, plain)
    calls = env.plane.calls(env.operator.user)
    assert not [call for call in calls if call["code"] == "403"]
    used = {("/".join(filter(None, (call.get("resource"), call.get("subresource")))), call["verb"]) for call in calls}
    used = {(resource, verb) for resource, verb in used if resource}
    assert {right for right in _granted() - used - UNTRIED if right[1] not in UNSEEN} == set()
    assert used - _granted() == set()


def _granted() -> set[tuple[str, str]]:
    rules = [rule for role in roles() for rule in role["rules"]]
    return {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}


def _rich(flow: Json) -> Json:
    """Give a flow that has an object of every kind."""
    extra = service("crowd", publishes=["EXTRA"], scale={"min": 2, "max": 4})
    flow = changed(flow, "spec.events.2", {"name": "EXTRA"})
    return changed(changed(flow, "spec.services.2", extra), "spec.deletionPolicy", "Delete")


async def _starve(env: OperatorEnv, flow: Json) -> None:
    """Let nobody have a pod until the flow says why: that is asked of the Events of its migration jobs."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}}
    await env.api.apply(quota | {"spec": {"hard": {"pods": "0"}}}, env.namespace)
    await asyncio.sleep(2)  # the quota's own controller counts first
    await env.apply(flow)
    await env.until(flow["metadata"]["name"], "Ready", "False", "FailedCreate")
    await env.api.delete("ResourceQuota", env.namespace, "none")


async def _live_through(env: OperatorEnv, flow: Json) -> None:
    name = flow["metadata"]["name"]
    await env.apply(flow)
    await env.until_ready(name)
    await _hide(env)
    flow = changed(
        changed(flow, "spec.events", flow["spec"]["events"][:2]), "spec.services", flow["spec"]["services"][:2]
    )
    flow = changed(changed(flow, "spec.services.0.httpPort", 9090), "spec.services.1.scale", {"min": 1, "max": 1})
    await env.apply(flow)
    await env.until_ready(name)
    await until(lambda: _is_without(env, "crowd", "extra"), "what it no longer wants is gone")
    await env.api.delete("OrderFlow", env.namespace, name)
    await env.until_gone("OrderFlow", name)
    await until(lambda: _is_without(env, name), "nothing of the flow is left")


async def _is_without(env: OperatorEnv, *parts: str) -> bool:
    return not any(part in name for _, name in await env.made() for part in parts)


async def _hide(env: OperatorEnv) -> None:
    """Take off the label by which objects are watched, and wait until each has been read, known again and mended."""
    before = await env.made()
    for kind, name in before:
        if kind != "Secret":  # never watched
            labels = {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}
            await env.api.patch(kind, env.namespace, name, labels)

    async def mended() -> bool:
        return (await env.made()).keys() == before.keys()

    await until(mended, f"all objects have their label again\n{env.operator.tail()}", every=SELDOM_S)
