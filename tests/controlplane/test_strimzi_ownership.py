"""A flow on Strimzi has no right on what is somebody else's, nor on what is not yet known to be its own."""

from support.cluster.api import Json
from support.cluster.author import Author
from support.cluster.operator_env import OperatorEnv
from support.cluster.strimzi import Refused
from support.flow.fleet import until
from support.flow.flows import changed, on_topics, pair


def rules(user: Json) -> set[tuple[str, str]]:
    """Give what a KafkaUser has rights on."""
    return {(rule["resource"]["type"], rule["resource"]["name"]) for rule in user["spec"]["authorization"]["acls"]}


async def test_strimzi_gives_no_right_on_a_topic_of_somebody_else(author: Author, env: OperatorEnv) -> None:
    """A KafkaTopic that another made is left alone, and no KafkaUser of the flow speaks of its topic or its group."""
    theirs = {"partitions": 1, "replicas": 1, "config": {"retention.ms": "5"}}
    for name in ("payments", "pair.answerer.dead-letters"):
        head = {"apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaTopic", "metadata": {"name": name}}
        await env.api.apply(head | {"spec": theirs}, env.namespace)
    flow = on_topics(pair(), "payments")
    await author.submit(flow)
    said = await author.until("pair", "TopicsReady", "False", "TopicConflict")
    assert "payments" in said["message"]
    await until(lambda: _has_users(env), "users are made for the rest")
    await env.settle()
    users = {name: rules(item) for (kind, name), item in (await env.made()).items() if kind == "KafkaUser"}
    assert users["pair-asker"] == {
        ("topic", "pair.answered"),
        ("topic", "pair.asker.dead-letters"),
        ("group", "pair.asker"),
    }
    assert users["pair-answerer"] == {("topic", "pair.answered")}
    await author.end("pair")
    kept = await env.api.get("KafkaTopic", env.namespace, "payments")
    assert kept is not None
    assert kept["spec"] == theirs


async def _has_users(env: OperatorEnv) -> bool:
    return {"pair-asker", "pair-answerer"} <= {name for kind, name in await env.made() if kind == "KafkaUser"}


async def test_strimzi_gives_no_right_before_it_is_known_whose_a_topic_is(author: Author, env: OperatorEnv) -> None:
    """A topic that is refused, or that another KafkaTopic has under whatever name, is nobody's; the rest is given."""
    taken = Refused("ResourceConflict", "Managed by Ref{namespace='other', name='payments'}")
    env.strimzi.refusals |= {"pair.asked": taken, "pair.answered": Refused("KafkaError", "not now")}
    await author.submit(pair())
    await until(lambda: _has_users(env), "users are made")
    await env.settle()
    assert await _use_of_events(env, set())
    del env.strimzi.refusals["pair.answered"]
    await author.apply(changed(pair(), "spec.events.1.topic", {"retention": "100h"}), database=False)
    await until(lambda: _use_of_events(env, {"pair.answered"}), "the right on the topic that is mended, and no other")


async def _use_of_events(env: OperatorEnv, topics: set[str]) -> bool:
    """Return whether each user has rights on these topics of events, and on no other."""
    made, events = await env.made(), {"pair.asked", "pair.answered"}
    users = [rules(made["KafkaUser", user]) for user in ("pair-asker", "pair-answerer")]
    return all({name for _, name in user} & events == topics for user in users)
