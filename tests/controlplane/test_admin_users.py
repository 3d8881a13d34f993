"""The provisioner Admin on a Kafka with SCRAM and ACLs: each service's user may do what the flow says, and no more.

The operator comes in over TLS with a password and a certificate from Secrets, as a flow's author gives them.
"""

import asyncio
import base64

import pytest
from confluent_kafka import KafkaError

from support.cluster.api import Json
from support.cluster.controlplane import ControlPlane
from support.cluster.crd_install import install
from support.cluster.crds import keda_crds
from support.cluster.kafka_rights import KafkaRights
from support.cluster.operator_env import OperatorEnv, new_env
from support.cluster.pod_status import Fate
from support.flow.fleet import until
from support.flow.flows import changed, pair
from support.tools.secure_kafka import ROOT, SecureKafka


def secure_pair(name: str, kafka: SecureKafka) -> Json:
    """Give the small flow on a Kafka that asks who one is."""
    where = {
        "provisioner": "Admin",
        "bootstrapServers": [kafka.secure_bootstrap],
        "authentication": {
            "type": "ScramSha512",
            "username": ROOT,
            "secretKeyRef": {"name": "kafka-root", "key": "password"},
        },
        "tls": {"certificateAuthority": {"secretKeyRef": {"name": "kafka-ca", "key": "ca.crt"}}},
    }
    flow = changed(changed(pair(name), "spec.kafka", where), "spec.deletionPolicy", "Delete")
    return changed(flow, "spec.defaults", {"topic": {"partitions": 3, "replicas": 1}})


async def password_of(env: OperatorEnv, name: str) -> str:
    """Give the password in a user's Secret."""
    found = await env.api.get("Secret", env.namespace, name) or {}
    return base64.b64decode(found["data"]["password"]).decode()


@pytest.fixture
async def entrusted(env: OperatorEnv, secure_kafka: SecureKafka) -> OperatorEnv:
    """An operator that has been given the Kafka's password and certificate."""
    return await entrust(env, secure_kafka)


async def entrust(env: OperatorEnv, secure_kafka: SecureKafka) -> OperatorEnv:
    """Give an operator the Kafka's password and certificate, and start it."""
    await asyncio.to_thread(secure_kafka.make_root)
    await env.give_secret("kafka-root", secure_kafka.login)
    await env.give_secret("kafka-ca", {"ca.crt": secure_kafka.ca})
    await env.start()
    return env


async def test_each_service_gets_a_user_with_its_own_access(
    entrusted: OperatorEnv, secure_kafka: SecureKafka, flow_name: str
) -> None:
    """The password of its Secret opens the door, and its ACLs are the flow's matrix to the letter."""
    await entrusted.apply(secure_pair(flow_name, secure_kafka))
    await entrusted.until_ready(flow_name)
    rights, user = KafkaRights(secure_kafka.bootstrap), f"{entrusted.namespace}.{flow_name}.asker"
    assert await asyncio.to_thread(rights.rules, user) == {
        ("topic", f"{flow_name}.asked", "Write"),
        ("topic", f"{flow_name}.answered", "Read"),
        ("topic", f"{flow_name}.asker.dead-letters", "Write"),
        ("group", f"{flow_name}.asker", "Read"),
    }
    password = await password_of(entrusted, f"{flow_name}-asker.kafka")
    assert await asyncio.to_thread(secure_kafka.attempt, user, password, f"{flow_name}.asked") is None
    refused = await asyncio.to_thread(secure_kafka.attempt, user, password, f"{flow_name}.answered")
    assert refused == KafkaError.TOPIC_AUTHORIZATION_FAILED
    watcher = await asyncio.to_thread(rights.rules, f"{entrusted.namespace}.{flow_name}")
    assert {operation for _, _, operation in watcher} == {"Describe"}


async def test_pods_of_the_version_before_keep_their_rights(
    entrusted: OperatorEnv, secure_kafka: SecureKafka, flow_name: str
) -> None:
    """While new pods do not start, the old ones may do what they could; then nobody may do more than is said."""
    flow = changed(secure_pair(flow_name, secure_kafka), "spec.services.1.publishes", ["ANSWERED", "EXTRA"])
    await entrusted.apply(changed(flow, "spec.events.2", {"name": "EXTRA"}))
    await entrusted.until_ready(flow_name)
    rights, user = KafkaRights(secure_kafka.bootstrap), f"{entrusted.namespace}.{flow_name}.answerer"
    password = await password_of(entrusted, f"{flow_name}-answerer.kafka")
    entrusted.kubelet.intend("answerer", Fate.STARTING)
    await entrusted.apply(secure_pair(flow_name, secure_kafka))
    await entrusted.until(flow_name, "Ready", "False")
    await entrusted.settle(3)
    assert await asyncio.to_thread(secure_kafka.attempt, user, password, f"{flow_name}.extra") is None
    await entrusted.kubelet.decide("answerer", Fate.READY)
    await entrusted.until_ready(flow_name)

    async def narrowed() -> bool:
        return ("topic", f"{flow_name}.extra", "Write") not in await asyncio.to_thread(rights.rules, user)

    await until(narrowed, "the right has gone, once the last pod that had it has ended", 30)


async def test_nothing_is_left_of_an_autoscaler_that_is_not_wanted(
    entrusted: OperatorEnv, secure_kafka: SecureKafka, flow_name: str
) -> None:
    """No service scales any more: the user that looked at its lag goes, and the Secret with its password."""
    await entrusted.apply(secure_pair(flow_name, secure_kafka))
    await entrusted.until_ready(flow_name)
    await check_autoscaler(entrusted, secure_kafka, flow_name)
    await entrusted.apply(changed(secure_pair(flow_name, secure_kafka), "spec.services.1.scale", {"min": 1, "max": 1}))
    await until_without_autoscaler(entrusted, secure_kafka, flow_name)


async def test_nothing_is_left_of_an_autoscaler_when_keda_goes(
    private_plane: ControlPlane, secure_kafka: SecureKafka, flow_name: str
) -> None:
    """KEDA's definitions are deleted under a running flow."""
    await install(private_plane, keda_crds())
    async with new_env(private_plane) as env:
        await entrust(env, secure_kafka)
        await env.apply(secure_pair(flow_name, secure_kafka))
        await env.until_ready(flow_name)
        await check_autoscaler(env, secure_kafka, flow_name)
        for name in ("scaledobjects", "triggerauthentications"):
            await env.api.delete("CustomResourceDefinition", "", f"{name}.keda.sh")
        await until_without_autoscaler(env, secure_kafka, flow_name)


async def check_autoscaler(env: OperatorEnv, kafka: SecureKafka, flow: str) -> None:
    """Make sure that the autoscaler's user and Secret are there."""
    assert await env.api.get("Secret", env.namespace, f"{flow}.autoscaler.kafka")
    rights = KafkaRights(kafka.bootstrap)
    await until(lambda: asyncio.to_thread(rights.rules, f"{env.namespace}.{flow}"), "the broker knows of its rights")


async def until_without_autoscaler(env: OperatorEnv, kafka: SecureKafka, flow: str) -> None:
    """Wait until they are gone."""
    await env.until_gone("Secret", f"{flow}.autoscaler.kafka", 90)
    assert not await asyncio.to_thread(KafkaRights(kafka.bootstrap).rules, f"{env.namespace}.{flow}")


async def test_access_follows_the_flow(entrusted: OperatorEnv, secure_kafka: SecureKafka, flow_name: str) -> None:
    """What a service no longer publishes it may no longer write; with the flow all its users go."""
    flow = secure_pair(flow_name, secure_kafka)
    flow = changed(flow, "spec.services.1.publishes", ["ANSWERED", "EXTRA"])
    await entrusted.apply(changed(flow, "spec.events.2", {"name": "EXTRA"}))
    await entrusted.until_ready(flow_name)
    rights, user = KafkaRights(secure_kafka.bootstrap), f"{entrusted.namespace}.{flow_name}.answerer"
    extra = ("topic", f"{flow_name}.extra", "Write")
    assert extra in await asyncio.to_thread(rights.rules, user)
    await entrusted.apply(secure_pair(flow_name, secure_kafka))
    await entrusted.until_ready(flow_name)

    async def narrowed() -> bool:
        return extra not in await asyncio.to_thread(rights.rules, user)

    await until(narrowed, "once the old pods have ended the right goes")
    await entrusted.api.delete("OrderFlow", entrusted.namespace, flow_name)
    await entrusted.until_gone("OrderFlow", flow_name)
    assert not {one for one in await asyncio.to_thread(rights.users) if flow_name in one}
    assert await asyncio.to_thread(rights.rules, user) == set()


async def test_a_wrong_password_is_told_of_and_mended(
    entrusted: OperatorEnv, secure_kafka: SecureKafka, flow_name: str
) -> None:
    """The condition names the Kafka or the Secret; once it is right the flow gets ready by itself."""
    await entrusted.api.delete("Secret", entrusted.namespace, "kafka-root")
    await entrusted.apply(secure_pair(flow_name, secure_kafka))
    said = await entrusted.until(flow_name, "TopicsReady", "False", "KafkaSecretMissing")
    assert "kafka-root" in said["message"]
    await entrusted.give_secret("kafka-root", secure_kafka.login | {"password": "wrong"})
    said = await entrusted.until(flow_name, "TopicsReady", "False", "KafkaUnavailable")
    assert secure_kafka.secure_bootstrap in said["message"]
    await entrusted.give_secret("kafka-root", secure_kafka.login)
    await entrusted.until_ready(flow_name)


async def test_a_user_deleted_in_kafka_is_made_again(
    entrusted: OperatorEnv, secure_kafka: SecureKafka, flow_name: str
) -> None:
    """Nobody tells of it: it is looked for within a minute, and its Secret's password opens the door again."""
    await entrusted.apply(secure_pair(flow_name, secure_kafka))
    await entrusted.until_ready(flow_name)
    rights, user = KafkaRights(secure_kafka.bootstrap), f"{entrusted.namespace}.{flow_name}.asker"
    await asyncio.to_thread(rights.forget, user)
    password = await password_of(entrusted, f"{flow_name}-asker.kafka")

    async def let_in() -> bool:
        return await asyncio.to_thread(secure_kafka.attempt, user, password, f"{flow_name}.asked") is None

    await until(let_in, f"{user} is let in", 60, every=2)


async def test_whoever_keeps_taking_users_away_is_told_of(
    entrusted: OperatorEnv, secure_kafka: SecureKafka, flow_name: str
) -> None:
    """As Strimzi's user operator does where it keeps the users: once is mended, the second time is a clash, named."""
    flow = secure_pair(flow_name, secure_kafka)
    await entrusted.apply(flow)
    await entrusted.until_ready(flow_name)
    rights, user = KafkaRights(secure_kafka.bootstrap), f"{entrusted.namespace}.{flow_name}.asker"

    async def is_there() -> bool:
        return user in await asyncio.to_thread(rights.users)

    for hours in (100, 200):
        await entrusted.settle()
        await asyncio.to_thread(rights.forget, user)
        for edit in (hours, hours + 1):  # each gives a turn, which else is a while away
            retention = {"topic": {"partitions": 3, "replicas": 1, "retention": f"{edit}h"}}
            await entrusted.apply(changed(flow, "spec.defaults", retention))
            await until(is_there, "it is made anew")
    said = await entrusted.until(flow_name, "IdentitiesReady", "False", "UsersTakenAway")
    assert user in said["message"]
