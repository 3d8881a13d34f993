"""Makes a flow's topics on any Kafka: called by `orderflow run` before the services start, and by the tests.

In the cluster the operator does this; here one admin client does, with the same names and settings.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs re-export without saying so
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from orderflow_cli.admin import admin_client
from orderflow_cli.errors import TopicConflictError
from orderflow_model.topics import Topic

_TIMEOUT_S = 30


def ensure_topics(bootstrap: str, topics: Iterable[Topic]) -> None:
    """Create what is missing, add partitions, set configs; no more replicas than there are brokers.

    Raises TopicConflictError when a topic has more partitions than wanted: Kafka cannot take any away.
    """
    admin = admin_client(bootstrap)
    cluster = admin.list_topics(timeout=_TIMEOUT_S)
    wanted = list(topics)
    brokers = len(cluster.brokers)
    present = {name: len(found.partitions) for name, found in cluster.topics.items()}
    _refuse_decrease(wanted, present)
    _create(admin, [topic for topic in wanted if topic.name not in present], brokers)
    kept = [topic for topic in wanted if topic.name in present]
    _add_partitions(admin, [topic for topic in kept if present[topic.name] < topic.partitions])
    _configure(admin, kept, brokers)


def touch_topics(bootstrap: str, topics: Iterable[Topic]) -> None:
    """Make topics on librdkafka's mock cluster: it knows no admin calls, but makes what it is asked about."""
    admin = admin_client(bootstrap)
    for topic in topics:
        admin.list_topics(topic.name, timeout=_TIMEOUT_S)


def _refuse_decrease(wanted: list[Topic], present: Mapping[str, int]) -> None:
    for topic in wanted:
        have = present.get(topic.name, 0)
        if have > topic.partitions:
            raise TopicConflictError(
                f"topic {topic.name} has {have} partitions and the flow wants {topic.partitions}",
                "Kafka cannot take partitions away: raise the flow's number, or use another topic name",
            )


def _create(admin: AdminClient, topics: list[Topic], brokers: int) -> None:
    new = [
        NewTopic(topic.name, topic.partitions, min(topic.replicas, brokers), config=_config(topic, brokers))
        for topic in topics
    ]
    if new:
        made = admin.create_topics(new, operation_timeout=_TIMEOUT_S)
        _finish(made, allowed={KafkaError.TOPIC_ALREADY_EXISTS})


def _add_partitions(admin: AdminClient, topics: list[Topic]) -> None:
    if topics:
        grown = [NewPartitions(topic.name, topic.partitions) for topic in topics]
        _finish(admin.create_partitions(grown, operation_timeout=_TIMEOUT_S))


def _config(topic: Topic, brokers: int) -> dict[str, str]:
    """The topic's settings, without asking for more copies in step than there can be."""
    in_sync = int(topic.config.get("min.insync.replicas", "1"))
    return topic.config | {"min.insync.replicas": str(min(in_sync, brokers))}


def _configure(admin: AdminClient, topics: list[Topic], brokers: int) -> None:
    resources = [
        ConfigResource(
            ResourceType.TOPIC,
            topic.name,
            incremental_configs=[
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                for name, value in _config(topic, brokers).items()
            ],
        )
        for topic in topics
    ]
    if resources:
        _finish(admin.incremental_alter_configs(resources))


def _finish(futures: Mapping[Any, Any], allowed: Iterable[int] = ()) -> None:
    for future in futures.values():
        try:
            future.result(_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() not in allowed:
                raise
