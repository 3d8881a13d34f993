"""Chooses the Kafka of a run: a given one, a real one on this machine, or the mock where Java or Maven is missing."""

import shutil
from collections.abc import Callable, Sequence
from typing import Protocol

from orderflow_cli.errors import StateError, ToolMissingError
from orderflow_cli.local.state import State
from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.kafka_classes import with_classes
from orderflow_cli.servers.kafka_jars import KAFKA_VERSION, find_program
from orderflow_cli.servers.kafka_mock import MockKafka
from orderflow_cli.servers.kafka_topics import ensure_topics, touch_topics
from orderflow_cli.servers.server import Server
from orderflow_model.topic_changes import Ours
from orderflow_model.topics import Topic

REAL, MOCK = "real", "mock"


class Broker(Protocol):
    """What a run needs of its Kafka."""

    @property
    def bootstrap(self) -> str:
        """`host:port`, once started."""
        ...

    @property
    def server(self) -> Server | None:
        """The process to keep running; None when somebody else keeps it."""
        ...

    def make_topics(self, topics: Sequence[Topic]) -> None:
        """Make the topics, or bring them up to what is wanted."""
        ...


class OwnBroker:
    """The Kafka of this run alone: all of its topics are ours."""

    def __init__(self, server: Kafka) -> None:
        self.bootstrap = server.bootstrap
        self.server = server

    def make_topics(self, topics: Sequence[Topic]) -> None:
        """Create and configure by the admin API."""
        ensure_topics(self.bootstrap, topics, {topic.name: Ours(made=True) for topic in topics})


class GivenBroker:
    """A Kafka at a given address, which others may use; the state remembers what of its topics is ours."""

    server = None

    def __init__(self, bootstrap: str, state: State) -> None:
        self.bootstrap = bootstrap
        self._state = state

    def make_topics(self, topics: Sequence[Topic]) -> None:
        """Create and configure by the admin API."""
        ours = self._state.topics()
        try:
            ensure_topics(self.bootstrap, topics, ours)
        finally:
            self._state.remember_topics(ours)


class MockBroker:
    """The mock cluster: no admin API, an address only once it runs."""

    def __init__(self, server: MockKafka) -> None:
        self.server = server

    @property
    def bootstrap(self) -> str:
        """`host:port`."""
        return self.server.bootstrap

    def make_topics(self, topics: Sequence[Topic]) -> None:
        """Touch them."""
        touch_topics(self.bootstrap, topics)


def choose_broker(given: str | None, state: State, echo: Callable[[str], None]) -> Broker:
    """Return the run's Kafka, not yet started; raise `StateError` when the state belongs to another one."""
    if given is not None:
        _claim(state, given)
        return GivenBroker(given, state)
    try:
        program = with_classes(find_program(echo), echo)
    except ToolMissingError as missing:
        return _mock(state, echo, missing)
    _claim(state, REAL)
    echo(f"Kafka: Apache Kafka {KAFKA_VERSION}, one broker")
    return OwnBroker(Kafka(state.folder("kafka"), program, state.port("kafka")))


def _mock(state: State, echo: Callable[[str], None], missing: ToolMissingError) -> Broker:
    """Return a mock; its events are gone when it ends, so the database that counted them starts anew with it."""
    _claim(state, MOCK)
    shutil.rmtree(state.folder("postgres"), ignore_errors=True)
    echo(
        f"Kafka: a mock in memory for small loads, 4 partitions a topic, nothing kept after the end. {missing.message}"
    )
    return MockBroker(MockKafka(state.folder("kafka")))


def _claim(state: State, kind: str) -> None:
    if state.kafka not in (None, kind):
        raise StateError(
            f"{state.path} holds the data of another Kafka ({state.kafka}) than this one ({kind})",
            "Use the same again, or remove that folder, or give another one with --state",
        )
    state.use_kafka(kind)
