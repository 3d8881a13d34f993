"""The provisioner Admin: topics on any Kafka by its admin API, refusals with a reason, ends that hold nothing up."""

import asyncio

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ConfigSource

from orderflow_cli.servers.kafka import Kafka
from support.cluster.api import Json
from support.cluster.kafka_rights import KafkaRights
from support.cluster.operator_env import OperatorEnv
from support.flow.fleet import until
from support.flow.flows import changed, pair

_OF_TOPIC = ConfigSource.DYNAMIC_TOPIC_CONFIG.value


def admin_pair(name: str, kafka: Kafka, policy: str = "Delete") -> Json:
    """Give the small flow on a Kafka without Strimzi."""
    where = {"provisioner": "Admin", "bootstrapServers": [kafka.bootstrap]}
    flow = changed(changed(pair(name), "spec.kafka", where), "spec.deletionPolicy", policy)
    return changed(flow, "spec.defaults", {"topic": {"partitions": 3, "replicas": 1}})


def topics(kafka: Kafka, name: str) -> dict[str, int]:
    """Give the flow's topics that are there, and their partitions."""
    found = AdminClient({"bootstrap.servers": kafka.bootstrap}).list_topics(timeout=20).topics
    return {topic: len(of.partitions) for topic, of in found.items() if topic.startswith(f"{name}.")}


async def test_topics_are_made_grown_and_never_shrunk(env: OperatorEnv, kafka: Kafka, flow_name: str) -> None:
    """3 → 6 partitions is done; 6 → 3 and other replicas are refused with the topic's name, and change nothing."""
    await env.start()
    flow = admin_pair(flow_name, kafka)
    await env.apply(flow)
    await env.until_ready(flow_name)
    dead_letters = {f"{flow_name}.asker.dead-letters": 1, f"{flow_name}.answerer.dead-letters": 1}
    assert topics(kafka, flow_name) == {f"{flow_name}.asked": 3, f"{flow_name}.answered": 3} | dead_letters
    await env.apply(changed(flow, "spec.events.0.topic", {"partitions": 6}))
    await env.until_ready(flow_name)
    assert topics(kafka, flow_name)[f"{flow_name}.asked"] == 6
    await env.apply(flow)
    said = await env.until(flow_name, "Ready", "False")
    assert f"{flow_name}.asked" in said["message"]
    await env.apply(changed(flow, "spec.events.0.topic", {"partitions": 6, "replicas": 2}))
    said = await env.until(flow_name, "TopicsReady", "False")
    assert f"{flow_name}.asked" in said["message"]
    assert topics(kafka, flow_name)[f"{flow_name}.asked"] == 6
    assert not [kind for kind, _ in await env.made() if kind.startswith("Kafka")], "Strimzi is not asked"


@pytest.mark.parametrize(
    ("labels", "data"),
    [
        ({}, {"a.json": "{}"}),
        ({"app.kubernetes.io/part-of": "{flow}", "app.kubernetes.io/component": "marks"}, {"note": "do not touch"}),
    ],
    ids=["somebody else's", "a note among the marks"],
)
async def test_marks_that_cannot_be_read_are_told_of_and_left_alone(
    env: OperatorEnv, kafka: Kafka, flow_name: str, labels: dict[str, str], data: dict[str, str]
) -> None:
    """Where marks should stand is something else: the condition names it, nothing is made, the flow can be deleted."""
    metadata = {
        "name": f"{flow_name}.kafka",
        "labels": {key: text.format(flow=flow_name) for key, text in labels.items()},
    }
    await env.api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}, env.namespace)
    await env.start()
    await env.apply(admin_pair(flow_name, kafka))
    said = await env.until(flow_name, "TopicsReady", "False", "MarksUnreadable")
    assert f"ConfigMap {flow_name}.kafka" in said["message"]
    await env.api.delete("OrderFlow", env.namespace, flow_name)
    await env.until_gone("OrderFlow", flow_name)
    await env.settle(2)
    left = await env.api.get("ConfigMap", env.namespace, f"{flow_name}.kafka") or {}
    assert left["data"] == data
    assert "ownerReferences" not in left["metadata"]
    assert topics(kafka, flow_name) == {}


def settings(kafka: Kafka, topic: str) -> dict[str, str]:
    """Give the settings that the topic itself has."""
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    client = AdminClient({"bootstrap.servers": kafka.bootstrap})
    entries = client.describe_configs([resource])[resource].result(10)
    return {name: entry.value for name, entry in entries.items() if entry.source == _OF_TOPIC}


async def test_a_setting_that_leaves_the_flow_leaves_its_topic(env: OperatorEnv, kafka: Kafka, flow_name: str) -> None:
    """It goes back to the cluster's default, also after a new start of the operator; then nothing is written."""
    await env.start()
    flow = admin_pair(flow_name, kafka)
    await env.apply(changed(flow, "spec.events.0.topic", {"config": {"min.cleanable.dirty.ratio": "0.50"}}))
    await env.until_ready(flow_name)
    assert settings(kafka, f"{flow_name}.asked")["min.cleanable.dirty.ratio"] == "0.5"
    await asyncio.to_thread(env.operator.kill)
    await env.start()
    await env.apply(flow)
    topic, ours = f"{flow_name}.asked", {"cleanup.policy", "min.insync.replicas", "retention.bytes", "retention.ms"}
    await until(lambda: settings(kafka, topic).keys() == ours, "what the flow no longer says is gone")


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
async def test_topics_follow_the_deletion_policy(env: OperatorEnv, kafka: Kafka, flow_name: str, policy: str) -> None:
    """The finalizer holds the flow until what lies outside is settled, and then goes."""
    await env.start()
    await env.apply(admin_pair(flow_name, kafka, policy))
    await env.until_ready(flow_name)
    assert (await env.flow(flow_name) or {})["metadata"]["finalizers"]
    await env.api.delete("OrderFlow", env.namespace, flow_name)
    await env.until_gone("OrderFlow", flow_name)
    assert bool(topics(kafka, flow_name)) == (policy == "Retain")


@pytest.mark.timeout(400)
async def test_a_dead_broker_blocks_neither_the_rest_nor_the_end(
    env: OperatorEnv, private_kafka: Kafka, flow_name: str
) -> None:
    """Services are made while the broker is away; once it is back the flow is ready; a deletion ends without it."""
    await env.start()
    await asyncio.to_thread(private_kafka.kill)
    await env.apply(admin_pair(flow_name, private_kafka))
    said = await env.until(flow_name, "TopicsReady", "False", "KafkaUnavailable")
    assert private_kafka.bootstrap in said["message"]
    await env.until(flow_name, "ServicesReady", "True")
    await asyncio.to_thread(private_kafka.start)
    await env.until_ready(flow_name)
    await asyncio.to_thread(private_kafka.kill)
    await env.api.delete("OrderFlow", env.namespace, flow_name)
    await env.until_gone("OrderFlow", flow_name, 150)


async def test_a_topic_removed_by_hand_comes_back(env: OperatorEnv, kafka: Kafka, flow_name: str) -> None:
    """What no watch tells of is found at the next look."""
    await env.start()
    flow = admin_pair(flow_name, kafka)
    await env.apply(flow)
    await env.until_ready(flow_name)
    rights = KafkaRights(kafka.bootstrap)
    await asyncio.to_thread(rights.delete_topic, f"{flow_name}.asked")
    await env.apply(changed(flow, "spec.services.0.image", "example/asker:2"))
    await until(lambda: asyncio.to_thread(rights.partitions, f"{flow_name}.asked"), "the topic is back")
