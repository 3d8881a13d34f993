"""The laptop's topics on a real Kafka: what leaves the flow leaves the topic, and what cannot be is said plainly."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs re-export without saying so
    AdminClient,
    ConfigResource,
    ConfigSource,
    NewTopic,
)

from orderflow_cli.errors import KafkaUnreachableError, TopicsRefusedError
from orderflow_cli.local.kafka_choice import GivenBroker
from orderflow_cli.local.state import open_state
from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.kafka_topics import ensure_topics
from orderflow_cli.servers.ports import free_port
from orderflow_model.topics import Topic
from support.flow.cli_process import FLOW, orderflow
from support.tools.secure_kafka import SecureKafka

ODD = {
    "min.cleanable.dirty.ratio": "0.50",
    "preallocate": "TRUE",
    "segment.ms": "+00120000",
    "leader.replication.throttled.replicas": "0:1, 0:1",
}


@pytest.fixture
def topic(flow_name: str) -> Topic:
    """A topic to be."""
    return Topic(f"{flow_name}.asked", 1, 3, 60_000, {"min.insync.replicas": "2"}, "spec.events[0].topic")


def settings(bootstrap: str, topic: Topic) -> dict[str, str]:
    """Give the settings that the topic itself has."""
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic.name)
    client = AdminClient({"bootstrap.servers": bootstrap})
    entries = client.describe_configs([resource])[resource].result(10)
    own = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
    return {name: entry.value for name, entry in entries.items() if entry.source == own}


@pytest.mark.parametrize("theirs", [{}, {"flush.ms": "5"}], ids=["made by the run", "there before"])
def test_a_setting_that_leaves_the_flow_leaves_its_topic(
    kafka: Kafka, topic: Topic, theirs: dict[str, str], tmp_path: Path
) -> None:
    """On a given Kafka, from run to run; what others had set on their topic stays."""
    if theirs:
        client = AdminClient({"bootstrap.servers": kafka.bootstrap})
        client.create_topics([NewTopic(topic.name, 1, 1, config=theirs)])[topic.name].result(10)
    for config in (topic.config | ODD, topic.config):
        with open_state(tmp_path, "shop") as state:
            GivenBroker(kafka.bootstrap, state).make_topics([replace(topic, config=config)])
            assert settings(kafka.bootstrap, topic).keys() == config.keys() | theirs.keys()


def test_what_is_written_is_not_written_again(kafka: Kafka, topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka gives values back in its own form, and they count as written."""
    wanted = replace(topic, config=topic.config | ODD)
    ensure_topics(kafka.bootstrap, [wanted])

    def alter(*_: Any, **__: Any) -> None:
        raise AssertionError("written again")

    monkeypatch.setattr(AdminClient, "incremental_alter_configs", alter)
    ensure_topics(kafka.bootstrap, [wanted])


def test_what_kafka_refuses_is_named_with_its_place(kafka: Kafka, topic: Topic) -> None:
    """Each refused topic in one sentence; the others are made."""
    odd = replace(topic, config={"max.decompressed.message.bytes": "5"})
    other = replace(topic, name=f"{topic.name}.other")
    with pytest.raises(TopicsRefusedError, match="is refused by Kafka: a setting is refused") as refused:
        ensure_topics(kafka.bootstrap, [odd, other])
    assert f"topic {topic.name} (spec.events[0].topic)" in str(refused.value)
    assert settings(kafka.bootstrap, other) == {"min.insync.replicas": "1"}


def test_why_kafka_is_not_reached_is_said(secure_kafka: SecureKafka, topic: Topic) -> None:
    """A port of TLS, nobody, no host: each in its own words."""
    for bootstrap, words in {
        secure_kafka.secure_bootstrap: "the port may ask for TLS or for a login",
        f"127.0.0.1:{free_port()}": "nobody listens on that port",
        "nowhere.invalid:9092": "the host's name is not known",
    }.items():
        with pytest.raises(KafkaUnreachableError, match=words) as error:
            ensure_topics(bootstrap, [topic])
        assert bootstrap in str(error.value)


def test_a_run_without_its_kafka_ends_with_a_sentence(tmp_path: Path) -> None:
    """No traceback, no process left, exit code 1."""
    done = orderflow("run", str(FLOW), "--kafka", f"127.0.0.1:{free_port()}", cwd=tmp_path)
    assert done.returncode == 1
    assert "nobody listens on that port" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_run_whose_topic_is_refused_ends_with_a_sentence(kafka: Kafka, flow_name: str, tmp_path: Path) -> None:
    """The flow's event is named, and what Kafka says of it."""
    resource = yaml.safe_load(FLOW.read_text())
    resource["metadata"]["name"] = flow_name
    resource["spec"]["events"][0]["topic"] = {"config": {"max.decompressed.message.bytes": "5"}}
    (file := tmp_path / "flow.yaml").write_text(yaml.safe_dump(resource))
    done = orderflow("run", str(file), "--kafka", kafka.bootstrap, cwd=tmp_path)
    assert done.returncode == 1
    assert "(spec.events[0].topic) is refused by Kafka" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("address", ["", "localhost", "http://localhost:9092", "localhost:kafka", "a:1,,b:2"])
def test_an_address_that_is_none_is_refused_at_once(address: str, tmp_path: Path) -> None:
    """Before anything is made."""
    done = orderflow("run", str(FLOW), "--kafka", address, cwd=tmp_path)
    assert done.returncode == 2
    assert "is no address of a broker" in done.stdout
    assert not (tmp_path / ".orderflow").exists()
