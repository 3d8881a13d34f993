"""The Admin provisioner on a real Kafka: topics are made and changed as far as Kafka lets them, and no further."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs re-export without saying so
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
)

from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.ports import free_port
from orderflow_model.topic_changes import FOUND
from orderflow_model.topic_settings import SETTINGS, SINCE_4_4
from orderflow_model.topics import Topic
from orderflow_operator.kafka.admin import KafkaAdmin, Provisioned
from orderflow_operator.kafka.client import Login
from orderflow_operator.kubernetes.errors import KafkaUnavailableError
from orderflow_operator.kubernetes.health import State
from support.flow.fleet import until


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


async def made(kafka: Kafka, admin: KafkaAdmin, login: Login, *topics: Topic) -> Provisioned:
    """Have topics made, and wait until the broker tells of them: it reads what it was told a moment later."""
    done = await admin.provision(login, topics, [])
    client = AdminClient({"bootstrap.servers": kafka.bootstrap})
    names = {topic.name for topic in topics}
    await until(lambda: names <= client.list_topics(timeout=10).topics.keys(), f"the broker tells of {names}", 20)
    return done


async def until_set(kafka: Kafka, topic: Topic, **settings: str) -> None:
    """Wait until the broker tells of a topic's settings, `_` for `.`, that they are so."""
    wanted = {name.replace("_", "."): value for name, value in settings.items()}
    await until(lambda: {name: setting(kafka, topic, name) for name in wanted} == wanted, f"{wanted}", 20)


def setting(kafka: Kafka, topic: Topic, name: str) -> str:
    """What the broker has of a topic's settings."""
    client = AdminClient({"bootstrap.servers": kafka.bootstrap})
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic.name)
    return str(client.describe_configs([resource])[resource].result(10)[name].value)


def by_hand(kafka: Kafka, topic: Topic, name: str, value: str) -> None:
    """Set a topic's setting as somebody else would."""
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic.name, incremental_configs=[entry])
    client = AdminClient({"bootstrap.servers": kafka.bootstrap})
    client.incremental_alter_configs([resource])[resource].result(10)


async def test_a_topic_is_made_as_it_is_wanted(kafka: Kafka, login: Login, topic: Topic) -> None:
    """Partitions and settings; asked for again, nothing happens."""
    admin = KafkaAdmin()
    first = await made(kafka, admin, login, topic)
    for done in (first, await admin.provision(login, [topic], [], first.ours)):
        assert done.problems == []
        assert done.topics[topic.name].state is State.READY
        assert done.topics[topic.name].wanted == 3
    assert partitions(kafka, topic) == 3
    await until_set(kafka, topic, retention_ms="60000")


async def test_partitions_are_added_and_settings_follow(kafka: Kafka, login: Login, topic: Topic) -> None:
    """What can be changed is changed, on the topic as it is."""
    admin = KafkaAdmin()
    done = await made(kafka, admin, login, topic)
    grown = replace(topic, partitions=5, config=topic.config | {"retention.ms": "90000"})
    done = await admin.provision(login, [grown], [], done.ours)
    assert done.problems == []
    await until(lambda: partitions(kafka, topic) == 5, "it has grown", 20)
    await until_set(kafka, topic, retention_ms="90000")


@pytest.mark.parametrize("impossible", [{"replicas": 2}, {"partitions": 1}])
async def test_an_edit_that_cannot_be_done_whole_is_not_done_in_part(
    kafka: Kafka, login: Login, topic: Topic, impossible: dict[str, int]
) -> None:
    """Settings that came with another number of replicas, or with fewer partitions, are not set."""
    admin = KafkaAdmin()
    done = await made(kafka, admin, login, topic)
    await until_set(kafka, topic, retention_ms="60000")
    edited = replace(topic, config=topic.config | {"retention.ms": "90000"}, **impossible)
    done = await admin.provision(login, [edited], [], done.ours)
    assert [problem.condition for problem in done.problems] == ["TopicsReady"]
    follows = replace(topic, config=topic.config | {"segment.ms": "120000"})
    await admin.provision(login, [follows], [], done.ours)
    await until_set(kafka, topic, segment_ms="120000", retention_ms="60000")


async def test_a_setting_that_leaves_goes_back_to_the_default(kafka: Kafka, login: Login, topic: Topic) -> None:
    """On a topic that we made, so does what somebody set by hand: what the flow does not name is the cluster's."""
    admin = KafkaAdmin()
    more = replace(topic, config=topic.config | {"segment.ms": "120000"})
    done = await made(kafka, admin, login, more)
    by_hand(kafka, topic, "preallocate", "true")
    await until_set(kafka, topic, segment_ms="120000", preallocate="true")
    done = await admin.provision(login, [topic], [], done.ours)
    assert done.problems == []
    await until_set(kafka, topic, segment_ms="604800000", preallocate="false")


async def test_on_a_topic_that_was_granted_only_our_settings_go(kafka: Kafka, login: Login, topic: Topic) -> None:
    """What its owner set before and after us is theirs."""
    client = AdminClient({"bootstrap.servers": kafka.bootstrap})
    client.create_topics([NewTopic(topic.name, 3, 1, config={"flush.ms": "5"})])[topic.name].result(10)
    await until(lambda: topic.name in client.list_topics(timeout=10).topics, "the broker tells of it", 20)
    admin = KafkaAdmin()
    more = replace(topic, config=topic.config | {"segment.ms": "120000"})
    done = await admin.provision(login, [more], [], {topic.name: FOUND})
    await until_set(kafka, topic, segment_ms="120000")
    by_hand(kafka, topic, "preallocate", "true")
    await until_set(kafka, topic, preallocate="true")
    done = await admin.provision(login, [topic], [], done.ours)
    assert done.problems == []
    await until_set(kafka, topic, segment_ms="604800000", flush_ms="5", preallocate="true")


async def test_a_topic_of_somebody_else_is_left_alone(kafka: Kafka, login: Login, topic: Topic) -> None:
    """Neither partitions nor settings change, and the problem says what would have."""
    client = AdminClient({"bootstrap.servers": kafka.bootstrap})
    client.create_topics([NewTopic(topic.name, 2, 1, config={"flush.ms": "5"})])[topic.name].result(10)
    await until(lambda: topic.name in client.list_topics(timeout=10).topics, "the broker tells of it", 20)
    done = await KafkaAdmin().provision(login, [topic], [])
    (problem,) = done.problems
    assert (problem.reason, done.topics[topic.name].state) == ("TopicConflict", State.FAILED)
    assert "retention.ms=60000" in problem.message
    assert (partitions(kafka, topic), setting(kafka, topic, "retention.ms")) == (2, "604800000")
    assert (done.ours, done.created) == ({}, frozenset())


VALID: dict[str, list[str]] = {
    "cleanup.policy": ["delete", " compact , delete", "compact,compact", ""],
    "compression.gzip.level": ["9", "+01", "-1"],
    "compression.lz4.level": ["017"],
    "compression.type": ["zstd", " gzip "],
    "compression.zstd.level": ["-131072", "+22"],
    "follower.replication.throttled.replicas": ["*", "0:1, 1:1", ""],
    "leader.replication.throttled.replicas": ["0:1,0:1"],
    "local.retention.bytes": ["-2"],
    "local.retention.ms": ["-2"],
    "message.timestamp.type": ["LogAppendTime"],
    "min.cleanable.dirty.ratio": ["0.50", ".25", "1", "0", "1e-4", "0.0001230", "0.1234567890123456789", "5.0E-1d"],
    "min.insync.replicas": ["+1"],
    "preallocate": ["TRUE", " False "],
    "remote.log.copy.disable": ["FALSE"],
    "remote.log.delete.on.disable": ["False"],
    "remote.storage.enable": ["FALSE"],
    "retention.bytes": ["-1", "0009223372036854775807"],
    "retention.ms": ["-1", "+00060000"],
    "segment.bytes": ["001048576"],
    "unclean.leader.election.enable": ["tRuE"],
}


class Counting:
    """Makes admin clients and counts what they write."""

    def __init__(self) -> None:
        self.writes = 0

    def __call__(self, options: dict[str, Any]) -> AdminClient:
        """Make a client."""
        counting = self

        class Client(AdminClient):
            def incremental_alter_configs(self, *resources: Any, **options: Any) -> Any:
                counting.writes += 1
                return super().incremental_alter_configs(*resources, **options)

        return Client(options)


async def test_each_setting_once_written_is_written(kafka: Kafka, login: Login, topic: Topic) -> None:
    """Whatever form Kafka gives a value back in, it counts as written: the second turn writes nothing."""
    connect = Counting()
    admin = KafkaAdmin(connect)
    names = sorted(SETTINGS.keys() - SINCE_4_4)
    done = await made(kafka, admin, login, topic)
    for turn in range(max(map(len, VALID.values()))):
        forms = {name: VALID.get(name, ["+0060000", "60000"]) for name in names}
        config = {name: of[turn % len(of)] for name, of in forms.items()}
        wanted = replace(topic, config=config)
        done = await admin.provision(login, [wanted], [], done.ours)
        assert done.problems == []

        async def at_rest(given: Topic = wanted, found: Provisioned = done) -> bool:
            before = connect.writes
            return (await admin.provision(login, [given], [], found.ours)).problems == [] and connect.writes == before

        await until(at_rest, f"turn {turn}'s settings count as written once the broker has read them", 20)


async def test_a_refusal_names_the_place_and_hinders_nobody_else(login: Login, topic: Topic) -> None:
    """A setting that this Kafka does not know, and a name that it does not take, are those topics' own problems."""
    odd = replace(topic, config={"max.decompressed.message.bytes": "5"}, place="spec.events[0].topic")
    nameless = replace(topic, name="a/b", place="spec.events[1].topic")
    other = replace(topic, name=f"{topic.name}.other")
    done = await KafkaAdmin().provision(login, [odd, nameless, other], [])
    first, second = (problem.message for problem in done.problems)
    assert f"topic {topic.name} (spec.events[0].topic) is refused by Kafka: a setting is refused" in first
    assert "max.decompressed.message.bytes" in first
    assert "topic a/b (spec.events[1].topic) is refused by Kafka: the topic's name is refused" in second
    assert done.topics[other.name].state is State.READY
    await KafkaAdmin().remove(login, [other.name], [])


async def test_what_cannot_be_is_refused_with_its_reason(kafka: Kafka, login: Login, topic: Topic) -> None:
    """Fewer partitions and other replicas change nothing; the rest of the flow's topics are made all the same."""
    admin = KafkaAdmin()
    other = replace(topic, name=f"{topic.name}.other")
    done = await made(kafka, admin, login, topic, other)
    for change, reason in (
        (replace(topic, partitions=2), "PartitionDecrease"),
        (replace(topic, replicas=3), "ReplicaChange"),
    ):
        done = await admin.provision(login, [change, other], [], done.ours)
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
