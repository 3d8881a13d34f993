"""Where a flow without Strimzi has its topics and users is noted: no edit and no loss of marks gives them off."""

import asyncio

from orderflow_cli.servers.kafka import Kafka
from support.cluster.admin_flows import Topics, plain, secure, trust
from support.cluster.author import Author
from support.cluster.kafka_rights import KafkaRights
from support.cluster.operator_env import OperatorEnv
from support.tools.secure_kafka import SecureKafka


async def told_at_its_end(env: OperatorEnv, name: str) -> str:
    """Give what an Event says was left of a flow."""
    events = await env.api.list("Event", env.namespace)
    left = [one for one in events if one["reason"] == "TeardownIncomplete" and one["involvedObject"]["name"] == name]
    return " ".join(one["message"] for one in left)


async def test_marks_that_were_deleted_give_nothing_away(
    author: Author, env: OperatorEnv, secure_kafka: SecureKafka, flow_name: str
) -> None:
    """They were there: no older operator made this flow, so neither topic nor user is taken by name, nor deleted."""
    await trust(secure_kafka, env)
    flow = secure(flow_name, secure_kafka)
    await author.submit(flow)
    await author.until_ready(flow_name)
    rights, topics = KafkaRights(secure_kafka.bootstrap), Topics(secure_kafka)
    theirs, asked = f"{flow_name}-asker", f"{flow_name}.asked"
    await asyncio.to_thread(rights.ensure_user, theirs, "their-password", [])
    await asyncio.to_thread(env.operator.kill)
    await env.api.delete("ConfigMap", env.namespace, f"{flow_name}.kafka")
    await asyncio.to_thread(rights.delete_topic, asked)
    await topics.until_gone(asked)
    topics.make(asked)
    before = topics.state(asked)
    await env.start()
    said = await author.until(flow_name, "TopicsReady", "False", "MarksLost")
    assert f"ConfigMap {flow_name}.kafka" in said["message"]
    await author.end(flow_name)
    assert topics.state(asked) == before
    assert topics.there(f"{flow_name}.answered")
    users = await asyncio.to_thread(rights.users)
    assert {theirs, f"{author.namespace}.{flow_name}.asker"} <= set(users)
    assert f"ConfigMap {flow_name}.kafka, which told what is this flow's" in await told_at_its_end(env, flow_name)


async def test_marks_can_begin_anew_as_the_condition_says(
    author: Author, env: OperatorEnv, kafka: Kafka, flow_name: str
) -> None:
    """Empty marks say that nothing is the flow's: what is there is granted by its owner, and the flow goes on."""
    flow = plain(flow_name, kafka.bootstrap)
    await author.submit(flow)
    await author.until_ready(flow_name)
    await env.settle()
    await env.api.delete("ConfigMap", env.namespace, f"{flow_name}.kafka")
    await author.until(flow_name, "TopicsReady", "False", "MarksLost")
    labels = {"app.kubernetes.io/part-of": flow_name, "app.kubernetes.io/component": "marks"}
    marks = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{flow_name}.kafka", "labels": labels}}
    await env.api.create(marks, env.namespace)
    await author.until(flow_name, "TopicsReady", "False", "TopicConflict")
    names = ("asked", "answered", "asker.dead-letters", "answerer.dead-letters")
    grant = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "orderflow.adoptions"}}
    topics = " ".join(f"{flow_name}.{name}" for name in names)
    await env.api.apply(grant | {"data": {flow_name: topics}}, env.namespace)
    await author.until_ready(flow_name)


async def test_a_flow_moves_to_no_other_kafka_while_it_has_topics_at_one(
    author: Author, env: OperatorEnv, kafka: Kafka, secure_kafka: SecureKafka, flow_name: str
) -> None:
    """Another address of its Kafka will do; another Kafka is refused before anything follows, until what is there is
    given up; a flow that is deleted meanwhile says what it left.
    """
    flow = plain(flow_name, kafka.bootstrap)
    await author.submit(flow)
    await author.until_ready(flow_name)
    await author.apply(plain(flow_name, kafka.bootstrap.replace("127.0.0.1", "localhost")), database=False)
    await author.until_ready(flow_name)
    moved = plain(flow_name, secure_kafka.bootstrap)
    await author.apply(moved, database=False)
    said = await author.until(flow_name, "Valid", "False", "KafkaMoved")
    assert said["message"].startswith("spec.kafka.bootstrapServers: topics and users of this flow are at Kafka ")
    await env.settle()
    assert not Topics(secure_kafka).there(f"{flow_name}.asked")
    for one in await env.api.list("Deployment", env.namespace):
        assert secure_kafka.bootstrap not in str(one["spec"])
    await author.apply(plain(flow_name, kafka.bootstrap), database=False)
    await author.until_ready(flow_name)
    await author.apply(moved, database=False)
    await author.until(flow_name, "Valid", "False", "KafkaMoved")
    await author.end(flow_name)
    assert "topics and users of this flow are at Kafka" in await told_at_its_end(env, flow_name)
    assert Topics(kafka).there(f"{flow_name}.asked")


async def test_who_gives_up_what_is_at_a_kafka_moves_to_another(
    author: Author, env: OperatorEnv, kafka: Kafka, secure_kafka: SecureKafka, flow_name: str
) -> None:
    """Its mark is taken out by whoever may write ConfigMaps there; nothing at the first is deleted."""
    await author.submit(plain(flow_name, kafka.bootstrap))
    await author.until_ready(flow_name)
    await author.apply(plain(flow_name, secure_kafka.bootstrap), database=False)
    await author.until(flow_name, "Valid", "False", "KafkaMoved")
    name = f"{flow_name}.kafka"
    marks = (await env.api.get("ConfigMap", env.namespace, name) or {})["data"]
    await env.api.patch("ConfigMap", env.namespace, name, {"data": dict.fromkeys(marks)})
    await author.until_ready(flow_name)
    assert Topics(secure_kafka).there(f"{flow_name}.asked")
    await author.end(flow_name)
    assert Topics(kafka).there(f"{flow_name}.asked")
