"""Topics at a Kafka whose broker reads only after some turns what was decided: they stay the flow's all the same.

The client is a double in memory: it takes what is made at once, and tells of it when the test lets it.
"""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException

from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import parse_flow
from orderflow_model.names import dead_letter_topic_name
from orderflow_model.status import FlowStatus
from orderflow_operator.kafka.admin import KafkaAdmin, Provisioned
from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.reconciler.kafka_provisioner import Provisioning
from orderflow_operator.resources.build_context import BuildContext
from support.flow.flows import changed, pair

KEY = FlowKey("prod", "pair")
TOPICS = {"pair.asked", "pair.answered", *(dead_letter_topic_name("pair", one) for one in ("asker", "answerer"))}


def answer(value: Any) -> "Future[Any]":
    """Return what a client's call gives; an exception is what it raises."""
    future: Future[Any] = Future()
    if isinstance(value, Exception):
        future.set_exception(value)
    else:
        future.set_result(value)
    return future


class LaggingKafka:
    """A client of a Kafka whose controller knows `made`, and whose broker tells of `told`."""

    def __init__(self) -> None:
        self.made: dict[str, Any] = {}
        self.told: set[str] = set()

    def catch_up(self) -> None:
        """Let the broker read what was decided."""
        self.told = set(self.made)

    def list_topics(self, **_: Any) -> Any:
        """Give what the broker knows."""
        return SimpleNamespace(topics={name: self.made[name] for name in self.told})

    def describe_cluster(self) -> "Future[Any]":
        """Give its id."""
        return answer(SimpleNamespace(cluster_id="kafka-1"))

    def describe_topics(self, asked: Any) -> dict[str, "Future[Any]"]:
        """Give each topic's id, where the broker knows it."""
        unknown = KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
        names = [one for one in TOPICS | {"theirs"} if one in self.asked_of(asked)]
        return {
            name: answer(SimpleNamespace(topic_id=f"id of {name}") if name in self.told else unknown) for name in names
        }

    @staticmethod
    def asked_of(asked: Any) -> list[str]:
        """Return the names of a collection."""
        return list(asked.topic_names)

    def create_topics(self, topics: Any) -> dict[str, "Future[Any]"]:
        """Make topics, once each."""
        answers = {}
        for topic in topics:
            there = KafkaException(KafkaError(KafkaError.TOPIC_ALREADY_EXISTS))
            answers[topic.topic] = answer(there if topic.topic in self.made else None)
            partitions = {number: SimpleNamespace(replicas=[1, 2, 3]) for number in range(topic.num_partitions)}
            self.made.setdefault(topic.topic, SimpleNamespace(partitions=partitions))
        return answers

    def delete_topics(self, names: list[str]) -> dict[str, "Future[Any]"]:
        """Take topics away, known to the broker or not."""
        unknown = KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
        return {name: answer(None if self.made.pop(name, None) else unknown) for name in names}

    def delete_consumer_groups(self, names: list[str]) -> dict[str, "Future[Any]"]:
        """Take no group away: there is none."""
        return {name: answer(KafkaException(KafkaError(KafkaError.GROUP_ID_NOT_FOUND))) for name in names}

    def describe_configs(self, resources: Any) -> dict[Any, "Future[Any]"]:
        """Give no settings: all are as the broker has them."""
        return {resource: answer({}) for resource in resources}

    def incremental_alter_configs(self, resources: Any) -> dict[Any, "Future[Any]"]:
        """Take all settings."""
        return {resource: answer(None) for resource in resources}


class ConfigMaps:
    """The cluster, as far as marks are kept there."""

    def __init__(self) -> None:
        self.written: Any = None

    async def current(self, *_: Any) -> Any:
        """Give the marks."""
        return self.written

    async def write_config(self, _: FlowKey, wanted: Any) -> None:
        """Keep the marks."""
        self.written = wanted

    async def config(self, *_: Any) -> Any:
        """Give no grants."""
        return None


class Turns:
    """A flow's turns at such a Kafka."""

    def __init__(self, deletion: str = "Retain") -> None:
        self.kafka, self.cluster = LaggingKafka(), ConfigMaps()
        admin = KafkaAdmin(lambda _: cast("Any", self.kafka))
        credentials = SimpleNamespace(check_named=self._nothing, kafka_passwords=self._nothing)
        self.provisioning = Provisioning(cast("Any", self.cluster), cast("Any", credentials), admin, lambda: 0.0)
        where = {"provisioner": "Admin", "bootstrapServers": ["kafka.example:9092"]}
        flow = changed(changed(pair(), "spec.kafka", where), "metadata.namespace", "prod")
        self.flow: OrderFlow = parse_flow(changed(flow, "spec.deletionPolicy", deletion))

    async def _nothing(self, *_: Any) -> None:
        return None

    async def take(self) -> Provisioned:
        """Have one; the status tells nothing yet, as in the first moments of a flow."""
        return await self.provisioning.provision(KEY, self.flow, BuildContext(), FlowStatus(), frozenset())


@pytest.mark.parametrize("turns", [0, 1, 3])
async def test_what_the_broker_learns_late_is_the_flow_s(turns: int) -> None:
    """However many turns it takes, none of them says that the topics are somebody else's."""
    flow = Turns()
    first = await flow.take()
    assert (first.problems, first.created) == ([], TOPICS)
    for _ in range(turns):
        assert (await flow.take()).problems == []
    flow.kafka.catch_up()
    done = await flow.take()
    assert done.problems == []
    assert {name for name, ours in done.ours.items() if ours.made} == TOPICS


async def test_what_was_there_before_and_is_not_shown_is_nobody_s_to_take() -> None:
    """A topic that Kafka says is there, and does not show, was not begun by the flow: it stays whose it is."""
    flow = Turns()
    flow.kafka.made["pair.asked"] = SimpleNamespace(partitions={0: SimpleNamespace(replicas=[1, 2, 3])})
    for _ in range(3):
        (problem,) = (await flow.take()).problems
        assert "pair.asked" in problem.message
    flow.kafka.catch_up()
    done = await flow.take()
    assert [problem.reason for problem in done.problems] == ["TopicConflict"]
    assert {name for name, ours in done.ours.items() if ours.made} == TOPICS - {"pair.asked"}


@pytest.mark.parametrize("turns", [1, 2])
async def test_a_flow_that_goes_takes_along_what_the_broker_has_not_learnt_of(turns: int) -> None:
    """Under deletionPolicy Delete nothing of it is left, and what another has made stays."""
    flow = Turns("Delete")
    flow.kafka.made["pair.asked"] = SimpleNamespace(partitions={0: SimpleNamespace(replicas=[1, 2, 3])})
    for _ in range(turns):
        await flow.take()
    await flow.provisioning.remove(KEY, flow.flow, FlowStatus())
    assert flow.kafka.made.keys() == {"pair.asked"}
