"""What a person who may only write OrderFlows can reach of a namespace's Secrets: what their owners gave."""

import asyncio
from typing import Any

import pytest

from support.cluster.api import Json
from support.cluster.operator_env import USABLE, OperatorEnv
from support.flow.fleet import until
from support.flow.flows import changed, pair

CA = {"certificateAuthority": {"secretKeyRef": {"name": "other-app", "key": "token"}}}
ADMIN = {"provisioner": "Admin", "bootstrapServers": ["nobody.invalid:9092"], "tls": CA}
LOGIN = {"type": "ScramSha512", "username": "root", "secretKeyRef": {"name": "other-app", "key": "token"}}


def secret(name: str, labels: dict[str, str] | None = None, **values: str) -> Json:
    """Make a Secret."""
    metadata = {"name": name, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}


CA_PLACE = "spec.kafka.tls.certificateAuthority.secretKeyRef"
NAMED: dict[str, tuple[str, Any]] = {
    "spec.services[0].env[0].valueFrom.secretKeyRef": (
        "spec.services.0.env",
        [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "other-app", "key": "token"}}}],
    ),
    CA_PLACE: ("spec.kafka", ADMIN),
    "spec.kafka.authentication.secretKeyRef": ("spec.kafka", ADMIN | {"authentication": LOGIN} | {"tls": None}),
    "spec.database.secretKeyRef": ("spec.database.secretKeyRef", {"name": "other-app", "key": "token"}),
}


@pytest.mark.parametrize("place", NAMED)
async def test_a_secret_that_is_not_for_flows_reaches_no_pod(env: OperatorEnv, place: str) -> None:
    """Wherever it is named, the flow is told of it by its place and nothing that names it is made; a label gives it."""
    uri = "postgresql://root:pw@db.example:5432/other"
    await env.api.apply(secret("other-app", token=uri), env.namespace)
    await env.start()
    where, what = NAMED[place]
    flow = changed(pair(), where, {k: v for k, v in what.items() if v is not None} if isinstance(what, dict) else what)
    await env.give_database(pair())
    await env.apply(flow, database=False)
    said = await env.until("pair", "IdentitiesReady", "False", "SecretNotUsable")
    assert said["message"].startswith(f"{place}: Secret other-app")
    await env.settle()
    for kind in ("Deployment", "Job"):
        assert await env.api.list(kind, env.namespace) == []
    await env.api.apply(secret("other-app", USABLE, token=uri), env.namespace)
    await until(lambda: _is_past(env), "with the label it goes on")


async def _is_past(env: OperatorEnv) -> bool:
    flow = await env.flow("pair") or {}
    return all(c["reason"] != "SecretNotUsable" for c in flow["status"]["conditions"])


@pytest.mark.parametrize("place", ["spec.services[0].env[0].valueFrom.secretKeyRef", CA_PLACE])
async def test_a_secret_that_is_made_later_reaches_no_pod_that_waits_for_it(env: OperatorEnv, place: str) -> None:
    """A name that is guessed before the Secret is there gives nothing; the owner's label does. The flow can go."""
    uri = "postgresql://root:pw@db.example:5432/other"
    await env.start()
    where, what = NAMED[place]
    await env.apply(changed(pair(), where, what))
    said = await env.until("pair", "IdentitiesReady", "False", "SecretNotUsable")
    assert said["message"].startswith(f"{place}: Secret other-app is not there")
    await env.api.apply(secret("other-app", token=uri), env.namespace)
    await asyncio.sleep(5)
    await env.settle()
    for kind in ("Deployment", "Job"):
        assert await env.api.list(kind, env.namespace) == []
    await env.api.apply(secret("other-app", USABLE, token=uri), env.namespace)
    await until(lambda: _is_past(env), "with the label it goes on")
    await env.api.delete("OrderFlow", env.namespace, "pair")
    await env.until_gone("OrderFlow", "pair", seconds=90)


async def test_a_secret_of_a_users_name_is_left_alone(env: OperatorEnv) -> None:
    """Strimzi would overwrite it with the user's password: no user is made, and the condition names it."""
    await env.api.apply(secret("pair-asker", key="of another application"), env.namespace)
    await env.start()
    await env.apply(pair())
    said = await env.until("pair", "IdentitiesReady", "False", "SecretConflict")
    assert "Secret pair-asker" in said["message"]
    await env.settle()
    assert await env.api.get("KafkaUser", env.namespace, "pair-asker") is None
    kept = await env.api.get("Secret", env.namespace, "pair-asker")
    assert kept is not None
    assert list(kept["data"]) == ["key"]
    await env.api.delete("Secret", env.namespace, "pair-asker")
    await env.until_ready("pair")


async def test_a_flow_does_not_name_what_its_own_user_would_overwrite(env: OperatorEnv) -> None:
    """A service `db` of a flow `pair` has the Secret `pair-db`: as the database's it is refused before anything."""
    await env.start()
    flow = pair()
    flow["spec"]["services"].append({"name": "db", "image": "example/db:1", "command": ["db"], "subscribes": ["ASKED"]})
    await env.apply(flow)
    said = await env.until("pair", "Valid", "False", "Invalid")
    assert "spec.database.secretKeyRef: Secret pair-db holds what db proves itself with" in said["message"]
    assert await env.api.list("KafkaUser", env.namespace) == []


async def test_a_flow_can_be_deleted_whatever_its_certificate_is(env: OperatorEnv) -> None:
    """A certificate authority that is none holds nothing up: the flow goes, and an Event says what was left."""
    await env.api.apply(secret("ca", USABLE, crt="no certificate"), env.namespace)
    await env.start()
    kafka = ADMIN | {"tls": {"certificateAuthority": {"secretKeyRef": {"name": "ca", "key": "crt"}}}}
    await env.apply(changed(pair(), "spec.kafka", kafka))
    await env.until("pair", "Ready", "False")
    await asyncio.sleep(1)
    await env.api.delete("OrderFlow", env.namespace, "pair")
    await env.until_gone("OrderFlow", "pair", seconds=90)
