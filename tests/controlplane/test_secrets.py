"""What a person who may only write OrderFlows can reach of a namespace's Secrets: what their owners gave."""

import asyncio
from typing import Any

import pytest

from support.cluster.api import Json
from support.cluster.stand import USABLE, Stand
from support.flow.fleet import until
from support.flow.flows import changed, pair

CA = {"certificateAuthority": {"secretKeyRef": {"name": "other-app", "key": "token"}}}
ADMIN = {"provisioner": "Admin", "bootstrapServers": ["nobody.invalid:9092"], "tls": CA}
LOGIN = {"type": "ScramSha512", "username": "root", "secretKeyRef": {"name": "other-app", "key": "token"}}


def secret(name: str, labels: dict[str, str] | None = None, **values: str) -> Json:
    """Make a Secret."""
    metadata = {"name": name, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}


NAMED: dict[str, tuple[str, Any]] = {
    "spec.services[0].env[0].valueFrom.secretKeyRef": (
        "spec.services.0.env",
        [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "other-app", "key": "token"}}}],
    ),
    "spec.kafka.tls.certificateAuthority.secretKeyRef": ("spec.kafka", ADMIN),
    "spec.kafka.authentication.secretKeyRef": ("spec.kafka", ADMIN | {"authentication": LOGIN} | {"tls": None}),
    "spec.database.secretKeyRef": ("spec.database.secretKeyRef", {"name": "other-app", "key": "token"}),
}


@pytest.mark.parametrize("place", NAMED)
async def test_a_secret_that_is_not_for_flows_reaches_no_pod(stand: Stand, place: str) -> None:
    """Wherever it is named, the flow is told of it by its place and nothing that names it is made; a label gives it."""
    uri = "postgresql://root:pw@db.example:5432/other"
    await stand.api.apply(secret("other-app", token=uri), stand.namespace)
    await stand.start()
    where, what = NAMED[place]
    flow = changed(pair(), where, {k: v for k, v in what.items() if v is not None} if isinstance(what, dict) else what)
    await stand.give_database(pair())
    await stand.apply(flow, database=False)
    said = await stand.until("pair", "IdentitiesReady", "False", "SecretNotUsable")
    assert said["message"].startswith(f"{place}: Secret other-app")
    await stand.settle()
    for kind in ("Deployment", "Job"):
        assert await stand.api.list(kind, stand.namespace) == []
    await stand.api.apply(secret("other-app", USABLE, token=uri), stand.namespace)
    await until(lambda: _is_past(stand), "with the label it goes on")


async def _is_past(stand: Stand) -> bool:
    flow = await stand.flow("pair") or {}
    return all(c["reason"] != "SecretNotUsable" for c in flow["status"]["conditions"])


async def test_a_secret_of_a_users_name_is_left_alone(stand: Stand) -> None:
    """Strimzi would overwrite it with the user's password: no user is made, and the condition names it."""
    await stand.api.apply(secret("pair-asker", key="of another application"), stand.namespace)
    await stand.start()
    await stand.apply(pair())
    said = await stand.until("pair", "IdentitiesReady", "False", "SecretConflict")
    assert "Secret pair-asker" in said["message"]
    await stand.settle()
    assert await stand.api.get("KafkaUser", stand.namespace, "pair-asker") is None
    kept = await stand.api.get("Secret", stand.namespace, "pair-asker")
    assert kept is not None
    assert list(kept["data"]) == ["key"]
    await stand.api.delete("Secret", stand.namespace, "pair-asker")
    await stand.until_ready("pair")


async def test_a_flow_does_not_name_what_its_own_user_would_overwrite(stand: Stand) -> None:
    """A service `db` of a flow `pair` has the Secret `pair-db`: as the database's it is refused before anything."""
    await stand.start()
    flow = pair()
    flow["spec"]["services"].append({"name": "db", "image": "example/db:1", "command": ["db"], "subscribes": ["ASKED"]})
    await stand.apply(flow)
    said = await stand.until("pair", "Valid", "False", "Invalid")
    assert "spec.database.secretKeyRef: Secret pair-db holds what db proves itself with" in said["message"]
    assert await stand.api.list("KafkaUser", stand.namespace) == []


async def test_a_flow_can_be_deleted_whatever_its_certificate_is(stand: Stand) -> None:
    """A certificate authority that is none holds nothing up: the flow goes, and an Event says what was left."""
    await stand.api.apply(secret("ca", USABLE, crt="no certificate"), stand.namespace)
    await stand.start()
    kafka = ADMIN | {"tls": {"certificateAuthority": {"secretKeyRef": {"name": "ca", "key": "crt"}}}}
    await stand.apply(changed(pair(), "spec.kafka", kafka))
    await stand.until("pair", "Ready", "False")
    await asyncio.sleep(1)
    await stand.api.delete("OrderFlow", stand.namespace, "pair")
    await stand.until_gone("OrderFlow", "pair", seconds=90)
