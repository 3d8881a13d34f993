"""The Admin provisioner on a real Kafka: topics are made and changed as far as Kafka lets them, and no further."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource

from orderflow_cli.kafka import Kafka
from orderflow_cli.ports import free_port
from orderflow_model.topics import Topic
from orderflow_operator.errors import KafkaUnavailableError
from orderflow_operator.health import State
from orderflow_operator.kafka_admin import KafkaAdmin, Login


@pytest.fixture
def login(kafka: Kafka) -> Login:
    """The session's broker, which knows no users."""
    return Login(kafka.bootstrap)


@pytest.fixture
async def topic(flow_name: str, login: Login) -> AsyncIterator[Topic]:
    """A topic to be, removed in the end."""
    wanted = Topic(f"{flow_name}.asked", 3, 1, 60_000, {"retention.ms": "60000", "min.insync.replicas": "1"})
    yield wanted
    await KafkaAdmin().remove(login, [wanted.name], [])


def partitions(kafka: Kafka, topic: Topic) -> int:
    """How many the broker has."""
    client = AdminClient({"bootstrap.servers": kafka.bootstrap})
    return len(client.list_topics(timeout=10).topics[topic.name].partitions)


def setting(kafka: Kafka, topic: Topic, name: str) -> str:
    """What the broker has of a topic's settings."""
    client = AdminClient({"bootstrap.servers": kafka.bootstrap})
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic.name)
    return str(client.describe_configs([resource])[resource].result(10)[name].value)


async def test_a_topic_is_made_as_it_is_wanted(kafka: Kafka, login: Login, topic: Topic) -> None:
    """Partitions and settings; asked for again, nothing happens."""
    admin = KafkaAdmin()
    for _ in range(2):
        done = await admin.provision(login, [topic], [])
        assert done.problems == []
        assert done.topics[topic.name].state is State.READY
        assert done.topics[topic.name].wanted == 3
    assert partitions(kafka, topic) == 3
    assert setting(kafka, topic, "retention.ms") == "60000"


async def test_partitions_are_added_and_settings_follow(kafka: Kafka, login: Login, topic: Topic) -> None:
    """What can be changed is changed; a setting that somebody else made stays."""
    admin = KafkaAdmin()
    await admin.provision(login, [topic], [])
    await admin.provision(login, [replace(topic, config=topic.config | {"segment.ms": "120000"})], [])
    grown = replace(topic, partitions=5, config=topic.config | {"retention.ms": "90000"})
    done = await admin.provision(login, [grown], [])
    assert done.problems == []
    assert partitions(kafka, topic) == 5
    assert setting(kafka, topic, "retention.ms") == "90000"
    assert setting(kafka, topic, "segment.ms") == "120000"


async def test_what_cannot_be_is_refused_with_its_reason(kafka: Kafka, login: Login, topic: Topic) -> None:
    """Fewer partitions and other replicas change nothing; the rest of the flow's topics are made all the same."""
    admin = KafkaAdmin()
    await admin.provision(login, [topic], [])
    other = replace(topic, name=f"{topic.name}.other")
    for change, reason in (
        (replace(topic, partitions=2), "PartitionDecrease"),
        (replace(topic, replicas=3), "ReplicaChange"),
    ):
        done = await admin.provision(login, [change, other], [])
        assert [problem.reason for problem in done.problems] == [reason]
        assert topic.name in done.problems[0].message
        assert done.topics[topic.name].state is State.FAILED
        assert done.topics[other.name].state is State.READY
    assert partitions(kafka, topic) == 3
    await admin.remove(login, [other.name], [])


async def test_what_kafka_refuses_is_told_in_its_words(login: Login, topic: Topic) -> None:
    """More replicas than brokers is a problem of that topic alone."""
    done = await KafkaAdmin().provision(login, [replace(topic, replicas=3), replace(topic, name=f"{topic.name}.b")], [])
    assert [problem.reason for problem in done.problems] == ["TopicRefused"]
    assert done.topics[f"{topic.name}.b"].state is State.READY
    await KafkaAdmin().remove(login, [f"{topic.name}.b"], [])


async def test_a_broker_that_is_away_is_a_problem_and_no_hang() -> None:
    """It takes seconds, is told of, and removal says so too."""
    nobody = Login(f"127.0.0.1:{free_port()}")
    done = await KafkaAdmin().provision(nobody, [Topic("t", 1, 1, 1000)], [])
    assert [type(problem) for problem in done.problems] == [KafkaUnavailableError]
    with pytest.raises(KafkaUnavailableError):
        await KafkaAdmin().remove(nobody, ["t"], [])
