"""Makes a flow's topics on any Kafka: called by `orderflow run` before the services start, and by the tests.

In the cluster the operator does this; here one admin client does, with the same names and settings.
"""

from collections.abc import Iterable, Mapping
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
    ResourceType,
)

from orderflow_cli.errors import TopicConflictError, TopicsRefusedError
from orderflow_cli.servers.kafka_admin import admin_client, reached, refusal
from orderflow_model.topic_changes import FOUND, Ours, SettingChanges, setting_changes
from orderflow_model.topics import Topic

_FIRST_SECONDS = 10
_TIMEOUT_SECONDS = 30


def ensure_topics(bootstrap: str, topics: Iterable[Topic], ours: dict[str, Ours] | None = None) -> None:
    """Create what is missing, add partitions, set what differs; no more replicas than there are brokers.

    `ours` tells what of each topic is ours, and is kept up to date. Raise `TopicConflictError` when a topic has more
    partitions than wanted: Kafka cannot take any away. Raise `TopicsRefusedError` for what the broker refuses, when all
    else is done, and KafkaUnreachableError.
    """
    wanted = list(topics)
    with reached(bootstrap) as client:
        _Topics(client, {} if ours is None else ours).ensure(wanted)


def touch_topics(bootstrap: str, topics: Iterable[Topic]) -> None:
    """Make topics on librdkafka's mock cluster: it knows no admin calls, but makes what it is asked about."""
    admin = admin_client(bootstrap)
    for topic in topics:
        admin.list_topics(topic.name, timeout=_TIMEOUT_SECONDS)


def _refuse_decrease(wanted: list[Topic], present: Mapping[str, int]) -> None:
    for topic in wanted:
        have = present.get(topic.name, 0)
        if have > topic.partitions:
            raise TopicConflictError(
                f"topic {topic.name} has {have} partitions and the flow wants {topic.partitions}",
                "Kafka cannot take partitions away: raise the flow's number, or use another topic name",
            )


class _Topics:
    """One look at the cluster, and what is done to its topics."""

    def __init__(self, client: AdminClient, ours: dict[str, Ours]) -> None:
        self._client = client
        self._ours = ours
        self._refused: list[str] = []
        cluster = client.list_topics(timeout=_FIRST_SECONDS)
        self._brokers = len(cluster.brokers)
        self._present = {name: len(found.partitions) for name, found in cluster.topics.items()}

    def ensure(self, wanted: list[Topic]) -> None:
        """Bring topics to what is wanted."""
        _refuse_decrease(wanted, self._present)
        self._create([topic for topic in wanted if topic.name not in self._present])
        kept = [topic for topic in wanted if topic.name in self._present]
        self._add_partitions([topic for topic in kept if self._present[topic.name] < topic.partitions])
        self._configure(kept)
        if self._refused:
            raise TopicsRefusedError("; ".join(self._refused), "Change that in the flow, or at the cluster")

    def _create(self, topics: list[Topic]) -> None:
        new = [
            NewTopic(one.name, one.partitions, min(one.replicas, self._brokers), config=self._config(one))
            for one in topics
        ]
        futures = self._client.create_topics(new, operation_timeout=_TIMEOUT_SECONDS) if new else {}
        for topic in topics:
            if self._succeeds(topic, futures[topic.name]):
                self._ours[topic.name] = Ours(made=True, settings=frozenset(topic.config))

    def _add_partitions(self, topics: list[Topic]) -> None:
        grown = [NewPartitions(topic.name, topic.partitions) for topic in topics]
        futures = self._client.create_partitions(grown, operation_timeout=_TIMEOUT_SECONDS) if grown else {}
        for topic in topics:
            self._succeeds(topic, futures[topic.name])

    def _configure(self, topics: list[Topic]) -> None:
        resources = [ConfigResource(ResourceType.TOPIC, topic.name) for topic in topics]
        answers = self._client.describe_configs(resources) if resources else {}
        for topic, resource in zip(topics, resources, strict=True):
            try:
                entries = _result(answers[resource])
            except KafkaException as error:
                self._refuse(topic, error)
            else:
                own = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
                self._set(topic, {name: str(one.value) for name, one in entries.items() if one.source == own})

    def _set(self, topic: Topic, has: Mapping[str, str]) -> None:
        ours = self._ours.get(topic.name, FOUND)
        changes = setting_changes(self._config(topic), has, ours)
        resource = ConfigResource(ResourceType.TOPIC, topic.name, incremental_configs=_operations(changes))
        if not changes or self._succeeds(topic, self._client.incremental_alter_configs([resource])[resource]):
            self._ours[topic.name] = Ours(ours.made, frozenset(topic.config))

    def _config(self, topic: Topic) -> dict[str, str]:
        """Return the topic's settings, without asking for more copies in step than there can be."""
        in_sync = int(topic.config.get("min.insync.replicas", "1"))
        return topic.config | {"min.insync.replicas": str(min(in_sync, self._brokers))}

    def _succeeds(self, topic: Topic, future: "Future[Any]") -> bool:
        try:
            _result(future)
        except KafkaException as error:
            self._refuse(topic, error)
            return False
        return True

    def _refuse(self, topic: Topic, error: KafkaException) -> None:
        """Note what the broker refuses; raise what is no answer of the broker."""
        if error.args[0].code() < 0:
            raise error
        where = f" ({topic.place})" if topic.place else ""
        self._refused.append(f"topic {topic.name}{where} is refused by Kafka: {refusal(error)}")


def _operations(changes: SettingChanges) -> list[ConfigEntry]:
    put = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in changes.put.items()]
    reset = [ConfigEntry(name, None, incremental_operation=AlterConfigOpType.DELETE) for name in changes.reset]
    return put + reset


def _result(future: "Future[Any]") -> Any:
    try:
        return future.result(_TIMEOUT_SECONDS)
    except TimeoutError:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None
