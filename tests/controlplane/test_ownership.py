"""What a person who may only write OrderFlows in one namespace can do to other people's topics and users: nothing.

Two namespaces, each with an operator of its own, meet on one real Kafka; docs/threat-model.md names these tests.
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from orderflow_cli.servers.kafka import Kafka
from support.cluster.admin_flows import Topics, plain, secure, trust
from support.cluster.api import ApiError, Json
from support.cluster.author import Author
from support.cluster.controlplane import ControlPlane
from support.cluster.kafka_rights import KafkaRights
from support.cluster.operator_env import OperatorEnv, condition, new_env
from support.flow.fleet import until
from support.flow.flows import changed, on_topics, pair
from support.tools.secure_kafka import SecureKafka


@pytest.fixture
async def others(served: ControlPlane) -> AsyncIterator[OperatorEnv]:
    """Another namespace, with an operator of its own."""
    async with new_env(served) as env:
        await env.start()
        yield env


async def test_another_spelling_of_an_address_is_the_same_kafka(
    author: Author, env: OperatorEnv, others: OperatorEnv, kafka: Kafka, flow_name: str
) -> None:
    """A topic of another flow is refused by whatever address its Kafka is reached, and outlives the intruder."""
    await others.apply(plain(flow_name, kafka.bootstrap))
    await others.until_ready(flow_name)
    topics, theirs = Topics(kafka), f"{flow_name}.asked"
    before = topics.state(theirs)
    flow = on_topics(plain("pair", kafka.bootstrap.replace("127.0.0.1", "localhost")), theirs)
    await author.submit(flow)
    said = await author.until("pair", "TopicsReady", "False", "TopicConflict")
    assert theirs in said["message"]
    assert topics.state(theirs) == before
    await author.end("pair")
    assert topics.state(theirs) == before
    await topics.until_gone("pair.answered")  # its own topic goes with it
    await others.until_ready(flow_name)


async def test_a_topic_that_was_refused_is_not_deleted_with_an_edited_flow(
    author: Author, env: OperatorEnv, others: OperatorEnv, kafka: Kafka, flow_name: str
) -> None:
    """A flow that was sound, then names another's topic, takes nothing along but its own."""
    await others.apply(plain(flow_name, kafka.bootstrap))
    await others.until_ready(flow_name)
    topics, theirs = Topics(kafka), f"{flow_name}.asked"
    before = topics.state(theirs)
    flow = plain("pair", kafka.bootstrap)
    await author.submit(flow)
    await author.until_ready("pair")
    edited = changed(flow, "spec.events.2", {"name": "EXTRA", "topic": {"name": theirs}})
    await author.apply(changed(edited, "spec.services.0.publishes", ["ASKED", "EXTRA"]), database=False)
    await author.until("pair", "Ready", "False", "TopicConflict")
    await author.end("pair")
    assert topics.state(theirs) == before
    await topics.until_gone("pair.answered")


@pytest.mark.parametrize("provisioner", ["Strimzi", "Admin"])
async def test_an_older_flow_takes_no_topic_of_a_younger_one_by_an_edit(
    author: Author, env: OperatorEnv, kafka: Kafka, flow_name: str, provisioner: str
) -> None:
    """Who has the topic goes on with it and is changed as it says, also past the operator's restart."""
    old, young = f"{flow_name}-old", f"{flow_name}-young"
    flows = {name: pair(name) if provisioner == "Strimzi" else plain(name, kafka.bootstrap) for name in (old, young)}
    for name, flow in flows.items():
        await author.submit(flow)
        await author.until_ready(name)
        await asyncio.sleep(1)  # flows are told apart by whole seconds
    theirs = f"{young}.asked"
    edited = changed(flows[old], "spec.events.2", {"name": "EXTRA", "topic": {"name": theirs}})
    edited = changed(edited, "spec.services.0.publishes", ["ASKED", "EXTRA"])
    await author.apply(edited, database=False)
    await author.until(old, "Valid", "False", "TopicConflict")
    for image in ("example/asker:2", "example/asker:3"):
        await author.apply(changed(flows[young], "spec.services.0.image", image), database=False)
        await author.until_ready(young)
        assert (await author.until(old, "Valid", "False"))["reason"] == "TopicConflict"
        await env.settle()
        await asyncio.to_thread(env.operator.kill)
        await env.start()
    await env.settle()
    await author.until_ready(young)
    said = await author.until(old, "Valid", "False", "TopicConflict")
    assert f"topic {theirs} belongs to OrderFlow {env.namespace}/{young}" in said["message"]


async def test_who_waits_for_a_topic_gets_it_by_an_edit_of_its_owner(env: OperatorEnv) -> None:
    """It need not wait for its next turn, which at rest is most of a minute away."""
    await env.start()
    extra = changed(pair("owner"), "spec.events.2", {"name": "EXTRA", "topic": {"name": "wanted"}})
    await env.apply(changed(extra, "spec.services.0.publishes", ["ASKED", "EXTRA"]))
    await env.until_ready("owner")
    await env.apply(on_topics(pair("waiter"), "wanted"))
    await env.until("waiter", "Valid", "False", "TopicConflict")
    await env.settle()
    await env.apply(pair("owner"), database=False)
    await env.until("waiter", "Valid", "True", seconds=15)


async def test_a_name_that_somebody_has_gives_neither_their_account_nor_their_pods(
    author: Author, env: OperatorEnv
) -> None:
    """No pod of a flow runs as an account that is a person's, and no autoscaler of a flow scales a person's pods."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "pair.services"}}
    labels = {"app": "theirs"}
    pod = {"containers": [{"name": "theirs", "image": "example/theirs:1"}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    theirs = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "pair-answerer"}, "spec": spec}
    await env.api.apply(account, env.namespace)
    await env.api.apply(theirs, env.namespace)
    await author.submit(pair())
    said = await author.until("pair", "ServicesReady", "False", "ObjectConflict")
    assert "ServiceAccount pair.services belongs to" in said["message"]
    await until(lambda: _are_migrated(env), "the migrations are done")
    await env.settle()
    assert [one["metadata"]["name"] for one in await env.api.list("Deployment", env.namespace)] == ["pair-answerer"]
    assert await env.api.list("ScaledObject", env.namespace) == []
    for kind, name in (("ServiceAccount", "pair.services"), ("Deployment", "pair-answerer")):
        await env.api.delete(kind, env.namespace, name)
    await author.until_ready("pair")
    assert [one["metadata"]["name"] for one in await env.api.list("ScaledObject", env.namespace)] == ["pair-answerer"]


async def _are_migrated(env: OperatorEnv) -> bool:
    jobs = await env.api.list("Job", env.namespace)
    return len(jobs) == 2 and all(one.get("status", {}).get("succeeded") for one in jobs)


async def test_a_flow_of_the_same_name_elsewhere_is_another_identity(
    author: Author, env: OperatorEnv, others: OperatorEnv, secure_kafka: SecureKafka, flow_name: str
) -> None:
    """Neither password nor rights of the first flow's user change, nor does it go with the second flow."""
    await trust(secure_kafka, env, others)
    await others.apply(secure(flow_name, secure_kafka))
    await others.until_ready(flow_name)
    rights, user = KafkaRights(secure_kafka.bootstrap), f"{others.namespace}.{flow_name}.asker"
    before = await asyncio.to_thread(rights.rules, user)
    secret = await others.api.get("Secret", others.namespace, f"{flow_name}-asker.kafka") or {}
    assert before
    flow = on_topics(secure(flow_name, secure_kafka), f"{flow_name}.x", f"{flow_name}.y")
    await author.submit(flow)
    await author.until(flow_name, "TopicsReady", "False", "TopicConflict")
    mine = f"{author.namespace}.{flow_name}.asker"
    await until(lambda: _is_user(rights, mine), "the second flow has a user of its own")
    assert await asyncio.to_thread(rights.rules, mine) == {
        ("topic", f"{flow_name}.x", "Write"),
        ("topic", f"{flow_name}.y", "Read"),
    }, "dead letters and group are the first flow's"
    await author.end(flow_name)
    assert await asyncio.to_thread(rights.rules, user) == before
    assert await _enters(secure_kafka, user, secret, f"{flow_name}.asked")
    assert mine not in await asyncio.to_thread(rights.users)


async def _is_user(rights: KafkaRights, user: str) -> bool:
    return user in await asyncio.to_thread(rights.users)


async def _enters(kafka: SecureKafka, user: str, secret: Json, topic: str) -> bool:
    """Tell whether the password in a Secret still opens the door."""
    password = base64.b64decode(secret["data"]["password"]).decode()
    return await asyncio.to_thread(kafka.attempt, user, password, topic) is None


async def test_a_user_that_is_somebody_elses_is_left_alone(
    author: Author, env: OperatorEnv, secure_kafka: SecureKafka, flow_name: str
) -> None:
    """A user of the very name that a flow's would have keeps its password and rights, and the flow is told."""
    await trust(secure_kafka, env)
    rights, user = KafkaRights(secure_kafka.bootstrap), f"{author.namespace}.{flow_name}.asker"
    rule = {"resource": {"type": "topic", "name": "elsewhere"}, "operations": ["Read"]}
    await asyncio.to_thread(rights.ensure_user, user, "their-password", [rule])
    flow = secure(flow_name, secure_kafka)
    await author.submit(flow)
    said = await author.until(flow_name, "IdentitiesReady", "False", "UserConflict")
    assert user in said["message"]
    await author.end(flow_name)
    assert user in await asyncio.to_thread(rights.users)
    assert await asyncio.to_thread(rights.rules, user) == {("topic", "elsewhere", "Read")}


async def test_a_topic_that_no_flow_made_waits_for_its_owners_grant(
    author: Author, env: OperatorEnv, secure_kafka: SecureKafka, flow_name: str
) -> None:
    """Until then nobody reads it and nothing of it changes; a granted one is set, and never deleted."""
    await trust(secure_kafka, env)
    topics, theirs = Topics(secure_kafka), f"{flow_name}-of-nobody"
    topics.make(theirs, retention_ms="123456789", flush_ms="7")
    before = topics.state(theirs)
    flow = on_topics(secure(flow_name, secure_kafka), theirs)
    await author.submit(flow)
    said = await author.until(flow_name, "TopicsReady", "False", "TopicConflict")
    assert theirs in said["message"]
    assert "retention.ms=604800000" in said["message"]
    await env.settle()
    rights = KafkaRights(secure_kafka.bootstrap)
    for service in ("asker", "answerer"):
        told = await asyncio.to_thread(rights.rules, f"{author.namespace}.{flow_name}.{service}")
        assert theirs not in {name for _, name, _ in told}
    assert topics.state(theirs) == before
    grant = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "orderflow.adoptions"}}
    await env.api.apply(grant | {"data": {flow_name: f"{theirs} another"}}, env.namespace)
    await author.until_ready(flow_name)
    _, _, settings = topics.state(theirs)
    assert {("retention.ms", "604800000"), ("flush.ms", "7")} <= set(settings)
    await author.end(flow_name)
    assert topics.there(theirs), "only what the operator made goes"


async def test_no_right_is_given_on_a_topic_that_could_not_be_made(
    author: Author, env: OperatorEnv, secure_kafka: SecureKafka, flow_name: str
) -> None:
    """Whoever makes a topic of that name later finds nobody waiting for its events, and keeps it."""
    await trust(secure_kafka, env)
    topics, theirs = Topics(secure_kafka), f"{flow_name}-later"
    flow = changed(secure(flow_name, secure_kafka), "spec.events.0.topic", {"name": theirs, "replicas": 3})
    await author.submit(flow)
    await author.until(flow_name, "TopicsReady", "False", "TopicRefused")
    rights = KafkaRights(secure_kafka.bootstrap)
    told = await asyncio.to_thread(rights.rules, f"{author.namespace}.{flow_name}.asker")
    assert theirs not in {name for _, name, _ in told}
    topics.make(theirs)
    before = topics.state(theirs)
    await author.until(flow_name, "TopicsReady", "False", "TopicConflict")
    await author.end(flow_name)
    assert topics.state(theirs) == before


async def test_a_group_is_not_deleted_by_an_event_that_is_called_after_it(
    author: Author, env: OperatorEnv, kafka: Kafka, flow_name: str
) -> None:
    """Dead letters tell whose a group is only among the flow's own names: another's keeps its position."""
    group = f"billing-of-{flow_name}"
    Topics(kafka).make(group)
    flow = on_topics(plain(flow_name, kafka.bootstrap), f"{group}.dead-letters")
    await author.submit(flow)
    await author.until_ready(flow_name)
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group})
    consumer.commit(offsets=[TopicPartition(group, 0, 0)], asynchronous=False)
    consumer.close()
    await author.end(flow_name)
    client = AdminClient({"bootstrap.servers": kafka.bootstrap})
    groups = client.list_consumer_groups().result(20)
    assert group in {one.group_id for one in groups.valid}


async def test_a_topic_made_anew_by_somebody_else_is_theirs(
    author: Author, env: OperatorEnv, kafka: Kafka, flow_name: str
) -> None:
    """The name alone makes nothing a flow's: with another id it is another topic, and stays."""
    flow = plain(flow_name, kafka.bootstrap)
    await author.submit(flow)
    await author.until_ready(flow_name)
    await env.settle()
    await asyncio.to_thread(env.operator.kill)
    topics, theirs = Topics(kafka), f"{flow_name}.asked"
    await asyncio.to_thread(KafkaRights(kafka.bootstrap).delete_topic, theirs)
    await topics.until_gone(theirs)
    topics.make(theirs)
    before = topics.state(theirs)
    await env.start()
    await author.until(flow_name, "TopicsReady", "False", "TopicConflict")
    await author.end(flow_name)
    assert topics.state(theirs) == before


async def test_retained_topics_are_taken_up_by_the_flow_when_it_comes_back(
    author: Author, env: OperatorEnv, kafka: Kafka, flow_name: str
) -> None:
    """The marks outlive the flow as its topics do; with the topics they go."""
    flow = plain(flow_name, kafka.bootstrap, "Retain")
    await author.submit(flow)
    await author.until_ready(flow_name)
    before = Topics(kafka).state(f"{flow_name}.asked")
    await author.end(flow_name)
    await author.apply(changed(flow, "spec.deletionPolicy", "Delete"), database=False)
    await author.until_ready(flow_name)
    assert Topics(kafka).state(f"{flow_name}.asked") == before
    await author.end(flow_name)
    await Topics(kafka).until_gone(f"{flow_name}.asked")
    assert await env.api.get("ConfigMap", env.namespace, f"{flow_name}.kafka") is None


async def test_a_login_that_is_not_for_flows_is_not_used_to_clean_up_either(
    author: Author, env: OperatorEnv, secure_kafka: SecureKafka, flow_name: str
) -> None:
    """A Secret that lost its label opens no Kafka, also when the flow is deleted; the flow goes, and says so."""
    await trust(secure_kafka, env)
    flow = secure(flow_name, secure_kafka)
    await author.submit(flow)
    await author.until_ready(flow_name)
    unlabelled = {"metadata": {"labels": {"orderflow.dev/usable-by-flows": None}}}
    await env.api.patch("Secret", env.namespace, "kafka-root", unlabelled)
    await asyncio.to_thread(env.operator.kill)
    await env.start()
    await author.end(flow_name)
    assert f"{author.namespace}.{flow_name}.asker" in await asyncio.to_thread(KafkaRights(secure_kafka.bootstrap).users)


async def test_a_login_goes_to_no_address_that_its_owner_does_not_list(
    author: Author, env: OperatorEnv, secure_kafka: SecureKafka, flow_name: str
) -> None:
    """Whoever answers at an author's address hears nothing of the login, also when the flow goes; its own is given."""
    await trust(secure_kafka, env)
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(4096))
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as trap:
        address = f"127.0.0.1:{trap.sockets[0].getsockname()[1]}"
        flow = changed(secure(flow_name, secure_kafka), "spec.kafka.bootstrapServers", [address])
        await env.give_database(flow)
        for servers in ([address], [secure_kafka.secure_bootstrap, address]):
            await author.apply(changed(flow, "spec.kafka.bootstrapServers", servers), database=False)
            said = await author.until(flow_name, "TopicsReady", "False", "LoginNotForAddress")
            assert address in said["message"]
        await author.end(flow_name)
        assert heard == []
    await author.apply(secure(flow_name, secure_kafka), database=False)
    await author.until_ready(flow_name)
    await author.end(flow_name)


PLACES: dict[str, tuple[str, Any]] = {
    "spec.database.secretKeyRef": ("spec.database.secretKeyRef", {"name": "kafka-root", "key": "password"}),
    "spec.kafka.tls.certificateAuthority.secretKeyRef": (
        "spec.kafka",
        {
            "provisioner": "Admin",
            "bootstrapServers": ["nobody.invalid:9092"],
            "tls": {"certificateAuthority": {"secretKeyRef": {"name": "kafka-root", "key": "password"}}},
        },
    ),
    "spec.services[0].env[0].valueFrom.secretKeyRef": (
        "spec.services.0.env",
        [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "kafka-root", "key": "password"}}}],
    ),
}


@pytest.mark.parametrize("place", PLACES)
async def test_a_login_of_the_operators_reaches_no_pod(author: Author, env: OperatorEnv, place: str) -> None:
    """What is for flows to log in with is named nowhere else: not as a variable, a certificate or a database."""
    await env.give_secret("kafka-root", {"password": "root-password", "bootstrap-servers": "kafka.example:9092"})
    flow = pair()
    await env.give_database(flow)
    await author.apply(changed(flow, *PLACES[place]), database=False)
    said = await author.until("pair", "IdentitiesReady", "False", "SecretNotUsable")
    assert said["message"].startswith(f"{place}: Secret kafka-root holds the operator's login")
    await env.settle()
    for kind in ("Deployment", "Job"):
        assert await env.api.list(kind, env.namespace) == []


FORGED = {
    ("ConfigMap", "pair.kafka", ""): {"data": {"any": "{}"}},
    ("ConfigMap", "orderflow.adoptions", ""): {"data": {"pair": "theirs"}},
    ("Secret", "kafka-root", ""): {"stringData": {"bootstrap-servers": "mine.example:9092"}},
    ("KafkaTopic", "theirs", ""): {"metadata": {"labels": {"orderflow.dev/flow": "pair"}}},
    ("OrderFlow", "pair", "status"): {"status": {"topics": []}},
}


@pytest.mark.parametrize(("kind", "name", "part"), FORGED)
async def test_marks_and_grants_are_not_an_authors_to_write(
    author: Author, env: OperatorEnv, kind: str, name: str, part: str
) -> None:
    """What tells whose a topic is, or where a login may go, cannot be forged with the right to write OrderFlows."""
    flow = pair()
    await author.submit(flow)
    with pytest.raises(ApiError) as refused:
        await author.api.patch(kind, author.namespace, name, FORGED[kind, name, part], part)
    assert refused.value.status == 403


async def test_a_flow_of_an_older_operator_goes_on(
    author: Author, env: OperatorEnv, secure_kafka: SecureKafka, flow_name: str
) -> None:
    """Without marks, its status tells what it had: its topics stay its own, its old users go once no pod needs them."""
    await trust(secure_kafka, env)
    flow = secure(flow_name, secure_kafka)
    await author.submit(flow)
    await author.until_ready(flow_name)
    before = Topics(secure_kafka).state(f"{flow_name}.asked")
    await env.settle()
    await asyncio.to_thread(env.operator.kill)
    rights, old = KafkaRights(secure_kafka.bootstrap), f"{flow_name}-asker"
    await asyncio.to_thread(rights.ensure_user, old, "old-password", [])
    await env.api.delete("ConfigMap", env.namespace, f"{flow_name}.kafka")
    await env.api.patch("OrderFlow", env.namespace, flow_name, {"status": {"kafka": None}}, "status")
    for service in ("asker", "answerer"):
        await asyncio.to_thread(rights.drop_user, f"{author.namespace}.{flow_name}.{service}")
    await asyncio.to_thread(rights.drop_user, f"{author.namespace}.{flow_name}")
    await env.start()
    await until(lambda: _is_no_user(rights, old), "the old user is gone")
    await author.until_ready(flow_name)
    assert Topics(secure_kafka).state(f"{flow_name}.asked") == before
    assert condition(await author.flow(flow_name) or {}, "TopicsReady")["status"] == "True"
    await author.end(flow_name)
    await Topics(secure_kafka).until_gone(f"{flow_name}.asked")


async def _is_no_user(rights: KafkaRights, user: str) -> bool:
    return user not in await asyncio.to_thread(rights.users)
