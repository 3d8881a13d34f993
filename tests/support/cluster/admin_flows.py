"""Flows on a Kafka without Strimzi, and its topics as their own administrator sees them."""

import asyncio
import time
from typing import Any

from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from orderflow_cli.servers.kafka import Kafka
from support.cluster.api import Json
from support.cluster.operator_env import OperatorEnv
from support.flow.fleet import until
from support.flow.flows import changed, pair
from support.tools.secure_kafka import ROOT, SecureKafka

ONE_BROKER = {"topic": {"partitions": 3, "replicas": 1}}


def plain(name: str, bootstrap: str, policy: str = "Delete") -> Json:
    """Give the small flow on a Kafka that asks nobody who they are."""
    kafka = {"provisioner": "Admin", "bootstrapServers": [bootstrap]}
    flow = changed(changed(pair(name), "spec.kafka", kafka), "spec.deletionPolicy", policy)
    return changed(flow, "spec.defaults", ONE_BROKER)


def secure(name: str, kafka: SecureKafka) -> Json:
    """Give the small flow on a Kafka with users and rights."""
    login = {"type": "ScramSha512", "username": ROOT, "secretKeyRef": {"name": "kafka-root", "key": "password"}}
    authority = {"certificateAuthority": {"secretKeyRef": {"name": "kafka-ca", "key": "ca.crt"}}}
    flow = plain(name, kafka.secure_bootstrap)
    return changed(changed(flow, "spec.kafka.authentication", login), "spec.kafka.tls", authority)


class Topics:
    """Topics as their own administrator sees them."""

    def __init__(self, kafka: Kafka) -> None:
        self._client = AdminClient({"bootstrap.servers": kafka.bootstrap})

    def make(self, name: str, **config: str) -> None:
        """Make a topic that no flow made."""
        settings = {name.replace("_", "."): value for name, value in config.items()}
        self._client.create_topics([NewTopic(name, 3, 1, config=settings)])[name].result(20)
        for _ in range(100):
            if self.there(name):
                return
            time.sleep(0.1)
        raise AssertionError(f"{name} was made and is not there")

    def state(self, name: str) -> tuple[Any, ...]:
        """Give what is to stay as it is: id, partitions, settings."""
        (found,) = self._client.describe_topics(TopicCollection([name])).values()
        resource = ConfigResource(ConfigResource.Type.TOPIC, name)
        entries = self._client.describe_configs([resource])[resource].result(20)
        topic = found.result(20)
        settings = sorted((entry.name, entry.value) for entry in entries.values())
        return str(topic.topic_id), len(topic.partitions), settings

    def there(self, name: str) -> bool:
        """Tell whether a topic of that name is there."""
        return name in self._client.list_topics(timeout=20).topics

    async def until_gone(self, name: str) -> None:
        """Wait until the broker tells of no such topic: it reads what was decided a moment later."""
        await until(lambda: not self.there(name), f"topic {name} is gone", 20)


async def trust(kafka: SecureKafka, *envs: OperatorEnv) -> None:
    """Give namespaces the password and certificate of a Kafka."""
    await asyncio.to_thread(kafka.make_root)
    for env in envs:
        await env.give_secret("kafka-root", kafka.login)
        await env.give_secret("kafka-ca", {"ca.crt": kafka.ca})
