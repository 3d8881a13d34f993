"""The double of Strimzi's topic operator does as the real one, on a real broker (STRIMZI.md lists what)."""

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest

from support.cluster.api import Api, Json, background
from support.cluster.kafka_books import TopicState
from support.cluster.kafka_rights import KafkaRights
from support.cluster.operator_env import condition
from support.cluster.strimzi import Strimzi
from support.flow.fleet import until
from support.tools.names import unique_name
from support.tools.secure_kafka import SecureKafka

FINALIZER = "strimzi.io/topic-operator"
UNMANAGED = {"strimzi.io/managed": "false"}
PAUSED = {"strimzi.io/pause-reconciliation": "true"}


class Topics:
    """A namespace with the double, and the broker that it keeps."""

    def __init__(self, api: Api, namespace: str, kafka: KafkaRights) -> None:
        self.api = api
        self.namespace = namespace
        self.kafka = kafka
        self.strimzi = Strimzi(api, namespace, kafka)

    def at_work(self) -> AbstractAsyncContextManager[None]:
        """Let the double work during the body."""
        return background(self.strimzi.run())

    async def create(
        self, name: str, spec: Json | None = None, annotations: Json | None = None, cluster: str = "events"
    ) -> None:
        """Make a KafkaTopic."""
        labels = {"strimzi.io/cluster": cluster} if cluster else {}
        metadata = {"name": name, "labels": labels, "annotations": annotations or {}}
        body = {"apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaTopic", "metadata": metadata}
        await self.api.create(body | {"spec": {"partitions": 2, "replicas": 1} | (spec or {})}, self.namespace)

    async def edit(self, name: str, **change: object) -> None:
        """Merge into a KafkaTopic's parts."""
        await self.api.patch("KafkaTopic", self.namespace, name, change)

    async def item(self, name: str) -> Json:
        """Give a KafkaTopic, empty where there is none."""
        return await self.api.get("KafkaTopic", self.namespace, name) or {}

    async def status(self, name: str) -> Json:
        """Give its status."""
        return dict((await self.item(name)).get("status", {}))

    async def until(self, name: str, kind: str, status: str = "True", reason: str = "") -> Json:
        """Wait until the present generation has a condition; give it."""
        seen: Json = {}

        async def holds() -> bool:
            item = await self.item(name)
            seen.clear()
            seen.update(condition(item, kind))
            current = item.get("status", {}).get("observedGeneration") == item["metadata"]["generation"]
            return current and seen.get("status") == status and seen.get("reason", "") == reason

        await until(holds, f"{name} is {kind} {status} {reason}", 30)
        return dict(seen)

    async def topic(self, name: str) -> TopicState | None:
        """Give what the broker has."""
        return await asyncio.to_thread(self.kafka.topic, name)

    async def setting(self, name: str, key: str) -> str:
        """Give a setting that is in force, empty where there is none."""
        found = await self.topic(name)
        return found.settings.get(key, "") if found else ""


@pytest.fixture
def topics(api: Api, namespace: str, secure_kafka: SecureKafka) -> Topics:
    """The double, not at work."""
    return Topics(api, namespace, KafkaRights(secure_kafka.bootstrap))


@pytest.fixture
def name() -> str:
    """The name of a topic that nobody else has."""
    return unique_name("t-")


async def test_a_new_topic_has_its_id_and_name_in_the_status(topics: Topics, name: str) -> None:
    """The id is the broker's own; a finalizer holds the resource."""
    async with topics.at_work():
        await topics.create(name)
        await topics.until(name, "Ready")
        made = await topics.topic(name)
        status = await topics.status(name)
        assert made
        assert (status["topicName"], status["topicId"]) == (name, made.id)
        assert (await topics.item(name))["metadata"]["finalizers"] == [FINALIZER]


async def test_a_topic_that_existed_loses_what_the_resource_does_not_name(topics: Topics, name: str) -> None:
    """Settings that are not named are removed, named ones set, partitions added; the events' topic stays the same."""
    id_before = await asyncio.to_thread(topics.kafka.create_topic, name, 1, 1, {"cleanup.policy": "compact"})
    async with topics.at_work():
        await topics.create(name, {"config": {"retention.ms": 60000}})
        await topics.until(name, "Ready")
        found = await topics.topic(name)
    assert found
    assert (found.id, found.partitions, found.own) == (id_before, 2, {"retention.ms"})
    assert found.settings["retention.ms"] == "60000"
    assert found.settings["cleanup.policy"] == "delete"


async def test_a_round_reverts_what_was_altered_behind_its_back(topics: Topics, name: str) -> None:
    """Nothing tells of it before the round; then the setting is as the resource says again."""
    async with topics.at_work():
        await topics.create(name, {"config": {"retention.ms": 60000}})
        await topics.until(name, "Ready")
        await until(lambda: quiet(topics, name), "the double rests")
        changes = {"retention.ms": "1000", "cleanup.policy": "compact"}
        await asyncio.to_thread(topics.kafka.alter_settings, name, changes)
        await asyncio.sleep(1)
        assert await topics.setting(name, "retention.ms") == "1000"
        await topics.strimzi.round()

        async def reverted() -> bool:
            found = await topics.topic(name)
            return bool(found and found.settings["retention.ms"] == "60000" and found.own == {"retention.ms"})

        await until(reverted, "the setting is back")


async def quiet(topics: Topics, name: str) -> bool:
    """Tell whether an object has not been written for half a second."""
    before = (await topics.item(name))["metadata"]["resourceVersion"]
    await asyncio.sleep(0.5)
    return bool((await topics.item(name))["metadata"]["resourceVersion"] == before)


async def test_rounds_come_by_themselves(topics: Topics, name: str) -> None:
    """A topic that somebody deleted in Kafka is made anew, under another id, at the next round."""
    topics.strimzi = Strimzi(topics.api, topics.namespace, topics.kafka, period=1)
    async with topics.at_work():
        await topics.create(name)
        await topics.until(name, "Ready")
        first = (await topics.status(name))["topicId"]
        await asyncio.to_thread(topics.kafka.delete_topic, name)

        async def anew() -> bool:
            return (await topics.status(name))["topicId"] != first and await topics.topic(name) is not None

        await until(anew, "the topic is there again")


async def test_of_an_edit_that_is_refused_in_part_the_rest_is_done(topics: Topics, name: str) -> None:
    """Other replicas are NotSupported, with the partitions that need them; settings of the same edit are applied."""
    async with topics.at_work():
        await topics.create(name)
        await topics.until(name, "Ready")
        await topics.edit(name, spec={"replicas": 2, "config": {"min.insync.replicas": 2}})
        told = await topics.until(name, "Ready", "False", "NotSupported")
        assert told["message"] == "Replication factor change not supported, but required for partitions [0, 1]"
        assert await topics.setting(name, "min.insync.replicas") == "2"
        await topics.edit(name, spec={"replicas": 1})
        await topics.until(name, "Ready")
        await topics.edit(name, spec={"partitions": 1})
        told = await topics.until(name, "Ready", "False", "NotSupported")
        assert told["message"] == "Decreasing partitions not supported"


async def test_what_the_broker_refuses_is_a_kafka_error_in_its_words(topics: Topics, name: str) -> None:
    """An unknown setting keeps a topic from being made, a bad value from being altered; a good one heals it."""
    async with topics.at_work():
        await topics.create(name, {"config": {"no.such": "x"}})
        told = await topics.until(name, "Ready", "False", "KafkaError")
        assert "no.such" in told["message"]
        assert await topics.topic(name) is None
        await topics.edit(name, spec={"config": {"no.such": None}})
        await topics.until(name, "Ready")
        await topics.edit(name, spec={"config": {"retention.ms": "soon"}})
        told = await topics.until(name, "Ready", "False", "KafkaError")
        assert "retention.ms" in told["message"]
        await topics.edit(name, spec={"config": {"retention.ms": 60000}})
        await topics.until(name, "Ready")


async def test_more_copies_than_brokers_are_refused(topics: Topics, name: str) -> None:
    """A topic of three replicas on one broker is not made."""
    async with topics.at_work():
        await topics.create(name, {"replicas": 3})
        told = await topics.until(name, "Ready", "False", "KafkaError")
        assert "replica" in told["message"].lower()
        assert await topics.topic(name) is None


async def test_of_two_resources_of_one_topic_the_older_has_it(topics: Topics, name: str) -> None:
    """The younger is a ResourceConflict that names the older; when that is gone, the next round heals it, unedited."""
    async with topics.at_work():
        await topics.create(name)
        await topics.until(name, "Ready")
        await topics.create("younger", {"topicName": name, "partitions": 4})
        told = await topics.until("younger", "Ready", "False", "ResourceConflict")
        assert f"name='{name}'" in told["message"]
        await topics.until(name, "Ready")
        await topics.edit(name, metadata={"annotations": UNMANAGED})
        await topics.until(name, "Unmanaged")
        await topics.api.delete("KafkaTopic", topics.namespace, name)
        await topics.strimzi.round()
        await topics.until("younger", "Ready")
        assert (await topics.item("younger"))["metadata"]["generation"] == 1
        found = await topics.topic(name)
        assert found
        assert found.partitions == 4


async def test_deleting_the_younger_of_two_resources_leaves_the_topic(topics: Topics, name: str) -> None:
    """It never got a finalizer, so it goes at once and nothing is deleted for it."""
    async with topics.at_work():
        await topics.create(name)
        await topics.until(name, "Ready")
        first = (await topics.status(name))["topicId"]
        await topics.create("younger", {"topicName": name})
        await topics.until("younger", "Ready", "False", "ResourceConflict")
        assert "finalizers" not in (await topics.item("younger"))["metadata"]
        await topics.api.delete("KafkaTopic", topics.namespace, "younger")
        await until(lambda: gone(topics, "younger"), "the younger is gone")
        await topics.strimzi.round()
        await asyncio.sleep(1)
        found = await topics.topic(name)
        assert found
        assert found.id == first


async def gone(topics: Topics, name: str) -> bool:
    """Tell whether there is no such KafkaTopic."""
    return not await topics.item(name)


async def test_another_topic_name_is_refused_and_holds_the_deletion(topics: Topics, name: str) -> None:
    """Neither topic is touched; the resource cannot even be deleted before its name is what it was."""
    async with topics.at_work():
        await topics.create("resource", {"topicName": name})
        await topics.until("resource", "Ready")
        await topics.edit("resource", spec={"topicName": f"{name}-other"})
        told = await topics.until("resource", "Ready", "False", "NotSupported")
        assert told["message"] == "Changing spec.topicName is not supported"
        assert await topics.topic(f"{name}-other") is None
        await topics.api.delete("KafkaTopic", topics.namespace, "resource")
        await asyncio.sleep(1)
        assert not await gone(topics, "resource")
        await topics.edit("resource", spec={"topicName": name})
        await until(lambda: gone(topics, "resource"), "the resource is gone")
        assert await topics.topic(name) is None


async def test_a_paused_topic_says_so_without_ready_and_nothing_is_done(topics: Topics, name: str) -> None:
    """The generation stays the last one that was done (0 for a new one); unpaused, all of it is done."""
    async with topics.at_work():
        await topics.create(name, annotations=PAUSED)

        async def paused() -> bool:
            status = await topics.status(name)
            return [one["type"] for one in status.get("conditions", ())] == ["ReconciliationPaused"]

        await until(paused, "it says that it is paused")
        assert (await topics.status(name))["observedGeneration"] == 0
        assert await topics.topic(name) is None
        await topics.edit(name, metadata={"annotations": {"strimzi.io/pause-reconciliation": None}})
        await topics.until(name, "Ready")
        await topics.edit(name, metadata={"annotations": PAUSED}, spec={"partitions": 5})
        await until(paused, "it says again that it is paused")
        found = await topics.topic(name)
        assert found
        assert found.partitions == 2


async def test_an_unmanaged_topic_says_so_without_ready_and_outlives_its_resource(topics: Topics, name: str) -> None:
    """Edits are not done, and the deletion leaves the topic."""
    async with topics.at_work():
        await topics.create(name)
        await topics.until(name, "Ready")
        await topics.edit(name, metadata={"annotations": UNMANAGED}, spec={"partitions": 5})
        await topics.until(name, "Unmanaged")
        status = await topics.status(name)
        assert [one["type"] for one in status["conditions"]] == ["Unmanaged"]
        assert "topicName" not in status
        await topics.api.delete("KafkaTopic", topics.namespace, name)
        await until(lambda: gone(topics, name), "the resource is gone")
        found = await topics.topic(name)
        assert found
        assert found.partitions == 2


async def test_settings_that_may_hinder_a_rebalance_are_warned_of(topics: Topics, name: str) -> None:
    """A Warning stands beside Ready."""
    async with topics.at_work():
        await topics.create(name, {"config": {"leader.replication.throttled.replicas": "*"}})
        await topics.until(name, "Ready")
        told = await topics.until(name, "Warning", "True", "InvalidConfig")
        assert "leader.replication.throttled.replicas" in told["message"]


async def test_resources_of_another_cluster_are_not_taken_up(topics: Topics, name: str) -> None:
    """Neither another label nor none is seen, not even by a round."""
    async with topics.at_work():
        await topics.create(f"{name}-other", cluster="others")
        await topics.create(f"{name}-none", cluster="")
        await topics.create(name)
        await topics.until(name, "Ready")
        await topics.strimzi.round()
        await asyncio.sleep(1)
        for other in (f"{name}-other", f"{name}-none"):
            assert not await topics.status(other)
            assert await topics.topic(other) is None


async def test_a_deletion_waits_while_strimzi_is_down(topics: Topics, name: str) -> None:
    """The finalizer holds the resource until the operator is back and has deleted the topic."""
    async with topics.at_work():
        await topics.create(name)
        await topics.until(name, "Ready")
    await topics.api.delete("KafkaTopic", topics.namespace, name)
    await asyncio.sleep(1)
    assert (await topics.item(name))["metadata"]["finalizers"] == [FINALIZER]
    assert await topics.topic(name) is not None
    async with topics.at_work():
        await until(lambda: gone(topics, name), "the resource is gone")
    assert await topics.topic(name) is None
