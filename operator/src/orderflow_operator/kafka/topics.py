"""Topics at a Kafka that has no Strimzi: made, grown and set as they are wanted. `admin.py` calls it.

One topic that cannot be is that topic's problem; the others are seen to.
"""

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs re-export without saying so
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
)

from orderflow_model.topic_changes import FOUND, Ours, SettingChanges, setting_changes
from orderflow_model.topics import Topic
from orderflow_operator.kafka.client import SECONDS, raise_if_away, refusal, settled
from orderflow_operator.kubernetes.errors import TopicRefusedError
from orderflow_operator.kubernetes.health import Health, State


class KafkaTopics:
    """One look at the broker's topics, and what is done to them.

    `ours` says of each topic of the flow what is ours of it; afterwards, as far as that came. `created` were made here,
    `unseen` before, though the broker that answers does not know them yet.
    """

    def __init__(self, client: AdminClient, ours: Mapping[str, Ours]) -> None:
        self.health: dict[str, Health] = {}
        self.ours = dict(ours)
        self.problems: list[TopicRefusedError] = []
        self.created: set[str] = set()
        self.unseen: set[str] = set()
        self._client = client
        self._there = client.list_topics(timeout=SECONDS).topics

    def provision(self, topics: tuple[Topic, ...]) -> None:
        """Make what is missing, then bring the rest to what is wanted; raise `KafkaException` when nobody answers."""
        self._create([topic for topic in topics if topic.name not in self._there])
        present = [topic for topic in topics if topic.name in self._there]
        for topic in present:
            if topic.name in self.ours:
                self._grow(topic)
        self._configure([topic for topic in present if self._is_whole(topic)])

    def _create(self, missing: list[Topic]) -> None:
        if missing:
            futures = self._client.create_topics(
                [NewTopic(one.name, one.partitions, one.replicas, config=one.config) for one in missing]
            )
            for topic in missing:
                if not self._succeeds(topic, futures[topic.name]):
                    self.ours.pop(topic.name, None)  # who makes it later is not us
                    continue
                self.health[topic.name] = Health(State.READY, wanted=topic.partitions)
                self.ours[topic.name] = Ours(made=True, settings=frozenset(topic.config))
                made = self.created if futures[topic.name].exception() is None else self.unseen
                made.add(topic.name)

    def _grow(self, topic: Topic) -> None:
        partitions = self._there[topic.name].partitions
        has, replicas = len(partitions), min((len(one.replicas) for one in partitions.values()), default=0)
        self.health[topic.name] = Health(State.READY, wanted=has)
        if has > topic.partitions:
            why = f"has {has} partitions and cannot shrink to {topic.partitions}: Kafka takes no partition away"
            self._refuse(topic, "PartitionDecrease", why, has)
        elif replicas != topic.replicas:
            why = f"has {replicas} replicas, not {topic.replicas}; reassign its partitions, or give back the number"
            self._refuse(topic, "ReplicaChange", why, has)
        elif has < topic.partitions:
            future = self._client.create_partitions([NewPartitions(topic.name, topic.partitions)])[topic.name]
            if self._succeeds(topic, future):
                self.health[topic.name] = Health(State.READY, wanted=topic.partitions)

    def _is_whole(self, topic: Topic) -> bool:
        """Return whether nothing of an edit is impossible: one that cannot be done whole is not done in part."""
        return topic.name not in self.ours or self.health[topic.name].state is State.READY

    def _configure(self, present: list[Topic]) -> None:
        resources = [ConfigResource(ConfigResource.Type.TOPIC, topic.name) for topic in present]
        if not resources:
            return
        answers = {resource.name: answer for resource, answer in self._client.describe_configs(resources).items()}
        for topic in present:
            entries = self._entries(topic, answers[topic.name])
            if entries is not None and topic.name in self.ours:
                self._set(topic, entries)
            elif entries is not None:
                self._refuse(topic, "TopicConflict", _foreign(setting_changes(topic.config, entries, FOUND)), 0)

    def _entries(self, topic: Topic, answer: "Future[dict[str, Any]]") -> dict[str, str] | None:
        """Return the settings of the topic itself; None when they cannot be read, which is among the problems."""
        try:
            entries = settled(answer)
        except KafkaException as error:
            raise_if_away(error)
            self._refuse(topic, "TopicRefused", f"tells nobody its settings: {refusal(error)}", 0)
            return None
        own = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
        return {name: str(entry.value) for name, entry in entries.items() if entry.source == own}

    def _set(self, topic: Topic, has: dict[str, str]) -> None:
        ours = self.ours.get(topic.name, FOUND)
        changes = setting_changes(topic.config, has, ours)
        if changes:
            resource = ConfigResource(ConfigResource.Type.TOPIC, topic.name, incremental_configs=_operations(changes))
            if not self._succeeds(topic, self._client.incremental_alter_configs([resource])[resource]):
                return
        self.ours[topic.name] = Ours(ours.made, frozenset(topic.config))

    def _succeeds(self, topic: Topic, future: "Future[None]") -> bool:
        try:
            settled(future)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS and self.ours.get(topic.name, FOUND).made:
                return True  # made a moment ago, and not yet known to every broker
            raise_if_away(error)
            self._refuse(topic, "TopicRefused", f"is refused by Kafka: {refusal(error)}", 0)
            return False
        return True

    def _refuse(self, topic: Topic, reason: str, why: str, partitions: int) -> None:
        self.health[topic.name] = Health(State.FAILED, reason, why, wanted=partitions)
        self.problems.append(TopicRefusedError(reason, topic.name, topic.place, why))


def _foreign(changes: SettingChanges) -> str:
    """Return why a topic is left alone, and what would have become of it."""
    sets = ", ".join(f"{name}={value}" for name, value in sorted(changes.put.items())) or "nothing"
    return (
        "is there and not this flow's: no right on it is given and nothing of it changed. This flow would set "
        f"{sets}. Name another topic, or have its owner grant it (docs/threat-model.md)"
    )


def _operations(changes: SettingChanges) -> list[ConfigEntry]:
    put = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in changes.put.items()]
    reset = [ConfigEntry(name, None, incremental_operation=AlterConfigOpType.DELETE) for name in changes.reset]
    return put + reset
