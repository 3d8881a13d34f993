"""A flow is edited as people edit it: each edit ends in the right objects and conditions, and touches nothing else."""

import asyncio

import pytest

from support.cluster.api import ApiError, Json
from support.cluster.operator_env import OperatorEnv
from support.cluster.pod_status import Fate
from support.cluster.strimzi import Refused
from support.flow.fleet import until
from support.flow.flows import changed, pair, service

OF_ALL = ("Job", "PrometheusRule")
"""Kinds that speak of all services of a flow."""


def versions(objects: dict[tuple[str, str], Json]) -> dict[tuple[str, str], int]:
    """Give the generation of each object that counts its edits."""
    return {key: item["metadata"]["generation"] for key, item in objects.items() if "generation" in item["metadata"]}


async def test_a_service_is_added_and_removed_without_touching_the_others(ready: OperatorEnv) -> None:
    """What belongs to a new service F comes and goes; every other object stays at its generation."""
    before = await ready.made()
    await ready.apply(changed(pair(), "spec.services.2", service("f", subscribes=["ANSWERED"])))
    await ready.until_ready("pair")
    added = set(await ready.made()) - set(before)
    assert {kind for kind, _ in added} >= {
        "Deployment",
        "Service",
        "KafkaUser",
        "KafkaTopic",
    }
    assert all("pair-f" in name or "pair.f" in name or kind == "Job" for kind, name in added), added
    await ready.apply(pair())
    await ready.until_ready("pair")
    kept = {("KafkaTopic", "pair.f.dead-letters")}  # deletionPolicy Retain
    assert await _left(ready, before) == kept
    after, ours = versions(await ready.made()), versions(before)
    assert {key: after[key] for key in ours if key[0] not in OF_ALL} == {
        key: ours[key] for key in ours if key[0] not in OF_ALL
    }


async def _left(env: OperatorEnv, before: dict[tuple[str, str], Json]) -> set[tuple[str, str]]:
    """Give what is there more than before, when that has been the same for a while."""
    await env.settle(5)
    return set(await env.made()) - set(before)


async def test_a_setting_that_leaves_the_flow_leaves_its_topic(ready: OperatorEnv) -> None:
    """Strimzi is asked for what the flow says and no more; it gives the rest back to the cluster's default."""
    config = {"segment.ms": "120000", "min.cleanable.dirty.ratio": "0.50"}
    before = (await ready.made())["KafkaTopic", "pair.asked"]["spec"]["config"]
    await ready.apply(changed(pair(), "spec.events.0.topic", {"config": config}))
    await until(lambda: _has(ready, before | config | {"min.cleanable.dirty.ratio": "0.5"}), "the settings come")
    await ready.apply(pair())
    await until(lambda: _has(ready, before), "the settings go")


async def _has(env: OperatorEnv, config: Json) -> bool:
    return bool((await env.made())["KafkaTopic", "pair.asked"]["spec"]["config"] == config)


async def test_a_renamed_event_gets_its_topic_and_the_old_one_is_kept(ready: OperatorEnv) -> None:
    """The new event's topic is made, the services are told, and the old topic is retained with its events."""
    flow = changed(pair(), "spec.events.1.name", "REPLIED")
    flow = changed(changed(flow, "spec.services.0.subscribes", ["REPLIED"]), "spec.services.1.publishes", ["REPLIED"])
    await ready.apply(flow)
    await ready.until_ready("pair")
    made = await ready.made()
    assert ("KafkaTopic", "pair.replied") in made
    assert ("KafkaTopic", "pair.answered") in made, "deletionPolicy Retain"
    template = made["Deployment", "pair-asker"]["spec"]["template"]
    assert "pair.replied" in template["metadata"]["annotations"]["orderflow.dev/config"]
    rules = made["KafkaUser", "pair-answerer"]["spec"]["authorization"]["acls"]
    assert "pair.answered" not in {rule["resource"]["name"] for rule in rules}
    status = (await ready.flow("pair") or {})["status"]
    assert [event["name"] for event in status["events"]] == ["ASKED", "REPLIED"]


async def test_a_removed_event_takes_its_topic_along_when_the_policy_says_delete(env: OperatorEnv) -> None:
    """Under deletionPolicy Delete a topic that nobody wants any more goes."""
    await env.start()
    flow = changed(changed(pair(), "spec.deletionPolicy", "Delete"), "spec.events.2", {"name": "EXTRA"})
    flow = changed(flow, "spec.services.0.publishes", ["ASKED", "EXTRA"])
    await env.apply(flow)
    await env.until_ready("pair")
    await env.apply(changed(pair(), "spec.deletionPolicy", "Delete"))
    await env.until_ready("pair")
    await env.until_gone("KafkaTopic", "pair.extra")


async def test_partitions_are_added_and_never_taken_away(ready: OperatorEnv) -> None:
    """6 → 12 reaches the topic; 12 → 6 is refused where CEL sees it, or becomes Valid=False, and changes nothing."""
    await ready.apply(changed(pair(), "spec.events.0.topic", {"partitions": 12}))
    await ready.until_ready("pair")
    assert await partitions(ready, "pair.asked") == 12
    with pytest.raises(ApiError, match="cannot shrink"):
        await ready.apply(changed(pair(), "spec.events.0.topic", {"partitions": 6}))
    await ready.apply(pair())  # the default is 6; no rule of the CRD sees that
    said = await ready.until("pair", "Valid", "False")
    assert "pair.asked" in said["message"]
    assert "12" in said["message"]
    await asyncio.sleep(2)
    assert await partitions(ready, "pair.asked") == 12
    await ready.apply(changed(pair(), "spec.events.0.topic", {"partitions": 12}))
    await ready.until_ready("pair")


@pytest.mark.parametrize("place", ["spec.events.0.topic", "spec.defaults.topic"])
async def test_an_edit_that_strimzi_would_do_in_part_is_refused_whole(ready: OperatorEnv, place: str) -> None:
    """Another number of replicas is refused with its place, and what else the edit says of the topic is not done."""
    before = (await ready.made())["KafkaTopic", "pair.asked"]
    more = {"replicas": 5, "config": {"min.insync.replicas": "3"}}
    edited = changed(pair(), place, more)
    await ready.apply(changed(edited, "spec.services.0.image", "example/asker:2"))
    said = await ready.until("pair", "Valid", "False", "ReplicaChange")
    assert f"{place.replace('.0.', '[0].')}.replicas: topic pair.asked has 3 replicas, not 5" in said["message"]
    await ready.settle(3)
    made = await ready.made()
    assert made["KafkaTopic", "pair.asked"]["spec"] == before["spec"]
    assert not await _runs(ready, "example/asker:2")
    await ready.apply(changed(pair(), "spec.services.0.image", "example/asker:2"))
    await ready.until_ready("pair")
    assert await _runs(ready, "example/asker:2")


async def partitions(env: OperatorEnv, topic: str) -> int:
    """Give the partitions that a KafkaTopic asks for."""
    found = await env.api.get("KafkaTopic", env.namespace, topic)
    assert found
    return int(found["spec"]["partitions"])


async def test_a_new_image_is_rolled_out_and_ready_means_the_new_pods(ready: OperatorEnv) -> None:
    """Ready is not True for the new generation before the new pods are."""
    await ready.kubelet.decide("asker", Fate.STARTING)
    await ready.apply(changed(pair(), "spec.services.0.image", "example/asker:2"))
    await ready.until("pair", "Ready", "False")
    await until(lambda: _runs(ready, "example/asker:2"), "the new version is rolled out")
    await ready.settle(2)
    said = await ready.until("pair", "Ready", "False", seconds=5)
    assert "asker" in said["message"]
    assert (await ready.made())["Deployment", "pair-answerer"]["metadata"]["generation"] == 1
    await ready.kubelet.decide("asker", Fate.READY)
    await ready.until_ready("pair")
    pods = await ready.api.list("Pod", ready.namespace, "orderflow.dev/service=asker")
    running = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    assert {pod["spec"]["containers"][0]["image"] for pod in running} == {"example/asker:2"}


async def _runs(env: OperatorEnv, image: str) -> bool:
    found = (await env.made())["Deployment", "pair-asker"]
    return bool(found["spec"]["template"]["spec"]["containers"][0]["image"] == image)


async def test_a_topic_of_another_flow_is_not_taken(ready: OperatorEnv) -> None:
    """The second flow says whose the topic is; the first one's stays as it was; once renamed, the second is ready."""
    other = changed(pair("other"), "spec.events.0.topic", {"name": "pair.asked", "partitions": 24})
    await ready.apply(other)
    said = await ready.until("other", "Ready", "False", "TopicConflict")
    assert f"topic pair.asked belongs to OrderFlow {ready.namespace}/pair" in said["message"]
    await ready.until_ready("pair")
    assert await partitions(ready, "pair.asked") == 6
    await ready.api.delete("OrderFlow", ready.namespace, "other")
    await ready.until_gone("OrderFlow", "other")
    assert await partitions(ready, "pair.asked") == 6, "the loser's end does not touch the winner's topic"
    await ready.apply(pair("other"))
    await ready.until_ready("other")


async def test_an_object_of_somebody_else_is_left_alone(env: OperatorEnv) -> None:
    """A Service of the wanted name without our labels stays as it is, and the condition names it."""
    foreign = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "pair-asker"}}
    await env.api.create(foreign | {"spec": {"ports": [{"port": 4711}]}}, env.namespace)
    await env.start()
    await env.apply(pair())
    said = await env.until("pair", "ServicesReady", "False", "ObjectConflict")
    assert "Service pair-asker" in said["message"]
    found = await env.api.get("Service", env.namespace, "pair-asker") or {}
    assert found["spec"]["ports"][0]["port"] == 4711
    assert "orderflow.dev/flow" not in found["metadata"].get("labels", {})
    await env.api.delete("Service", env.namespace, "pair-asker")
    await env.until_ready("pair")


async def test_a_missing_database_secret_is_told_of_and_taken_up_when_it_comes(env: OperatorEnv) -> None:
    """The condition names Secret and key; topics are made meanwhile; with the Secret the flow becomes ready."""
    await env.start()
    await env.apply(pair(), database=False)
    said = await env.until("pair", "Ready", "False", "DatabaseSecretMissing")
    assert "pair-db" in said["message"]
    assert "uri" in said["message"]
    await env.until("pair", "TopicsReady", "True")
    await env.give_database(pair())
    await env.until_ready("pair")


async def test_a_paused_flow_is_left_alone_until_it_is_not(ready: OperatorEnv) -> None:
    """Under the annotation nothing is written, whatever drifts; without it the edit is caught up with."""
    await ready.settle()
    paused = changed(pair(), "metadata.annotations", {"orderflow.dev/paused": "true"})
    await ready.apply(changed(paused, "spec.services.0.image", "example/asker:2"))
    await ready.api.delete("Service", ready.namespace, "pair-asker")
    await asyncio.sleep(5)
    assert await ready.api.get("Service", ready.namespace, "pair-asker") is None
    await ready.apply(changed(pair(), "spec.services.0.image", "example/asker:2"))
    await ready.until_ready("pair")
    assert await ready.api.get("Service", ready.namespace, "pair-asker")


async def test_a_refused_topic_of_an_edit_holds_up_what_needs_it_alone(ready: OperatorEnv) -> None:
    """A new service runs, one that was there gets its other new rights; that on the topic comes when it is mended."""
    ready.strimzi.refusals["pair.extra"] = Refused("KafkaError", "Invalid value for configuration retention.ms")
    flow = changed(pair(), "spec.events", [*pair()["spec"]["events"], {"name": "EXTRA"}, {"name": "MORE"}])
    flow = changed(flow, "spec.services.0.publishes", ["ASKED", "EXTRA", "MORE"])
    newcomer = service("newcomer", subscribes=["ASKED", "EXTRA", "MORE"])
    await ready.apply(changed(flow, "spec.services.2", newcomer))
    said = await ready.until("pair", "IdentitiesReady", "False", "RightsWithheld")
    assert "pair.extra" in said["message"]
    await ready.until("pair", "ServicesReady", "True")
    wanted = {"pair-asker": {"pair.asked", "pair.more"}, "pair-newcomer": {"pair.asked", "pair.more"}}
    for user, topics in wanted.items():
        assert topics <= (rights := await _rights(ready, user))
        assert "pair.extra" not in rights
    del ready.strimzi.refusals["pair.extra"]
    await ready.strimzi.round()
    await ready.until_ready("pair")
    for user in wanted:
        assert "pair.extra" in await _rights(ready, user)


async def test_a_topic_that_is_refused_later_takes_no_right_away(ready: OperatorEnv) -> None:
    """What Strimzi no longer does of an edit of a topic, its services still read and write what is there."""
    before = await _rights(ready, "pair-asker")
    ready.strimzi.refusals["pair.asked"] = Refused("KafkaError", "Invalid value for configuration retention.ms")
    flow = changed(changed(pair(), "spec.events.0.topic", {"retention": "100h"}), "spec.events.2", {"name": "MORE"})
    await ready.apply(changed(flow, "spec.services.0.publishes", ["ASKED", "MORE"]))
    await ready.until("pair", "TopicsReady", "False", "KafkaError")

    async def followed() -> bool:
        return before | {"pair.more"} == await _rights(ready, "pair-asker")

    await until(followed, "the new right beside those that were there")
    await ready.settle()
    assert await followed()


async def _rights(env: OperatorEnv, user: str) -> set[str]:
    """Give the names that a KafkaUser has rights on."""
    found = await env.api.get("KafkaUser", env.namespace, user) or {}
    return {rule["resource"]["name"] for rule in found["spec"]["authorization"]["acls"]}
