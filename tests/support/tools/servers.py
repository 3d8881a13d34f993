"""Real servers for tests: how they are made, and what is said when they cannot be."""

import secrets
from pathlib import Path

import pytest

from orderflow_cli.errors import ToolMissingError
from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.kafka_classes import with_classes
from orderflow_cli.servers.kafka_jars import KAFKA_VERSION, KafkaProgram, cache_directory, find_program
from orderflow_cli.servers.postgres import Postgres
from support.tools.build_lock import build_lock


def kafka_program(version: str = KAFKA_VERSION) -> KafkaProgram:
    """Return Java and the jars of a Kafka, or skip the test with the reason."""
    try:
        with build_lock(cache_directory() / f"kafka-{version}"):
            return with_classes(find_program(print, version), print)
    except ToolMissingError as missing:
        pytest.skip(f"no real Kafka: {missing.message}")


def new_kafka(directory: Path) -> Kafka:
    """A broker of its own, not started."""
    return Kafka(directory / "kafka", kafka_program())


def new_postgres(directory: Path) -> Postgres:
    """A server of its own, not started."""
    return Postgres(directory / "postgres", password=secrets.token_urlsafe(12))
