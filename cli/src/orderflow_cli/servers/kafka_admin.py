"""Admin clients of a Kafka cluster, as the laptop's Kafka and the topics' maker use them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from orderflow_cli.errors import KafkaUnreachableError
from orderflow_model.kafka_reasons import refusal_reason, unreachable_reason

_ERRORS_ONLY = 3  # librdkafka writes to stderr itself, into the middle of the live view


def admin_client(bootstrap: str, hear: Callable[[KafkaError], object] = lambda error: None) -> AdminClient:
    """Return a client of the cluster at `host:port`; it connects at its first call, and `hear` is told what fails."""
    options: dict[str, Any] = {"bootstrap.servers": bootstrap, "log_level": _ERRORS_ONLY, "error_cb": hear}
    return AdminClient(options)


@contextmanager
def reached(bootstrap: str) -> Iterator[AdminClient]:
    """Yield a client of the cluster; raise `KafkaUnreachableError` with the reason where a call fails."""
    heard: list[KafkaError] = []
    client = admin_client(bootstrap, heard.append)
    try:
        yield client
    except KafkaException as error:
        client.poll(0)  # what it heard comes by this call
        why = _reason(error.args[0], heard)
        raise KafkaUnreachableError(
            f"Kafka at {bootstrap}: {why}", "A run uses a listener without TLS and login: give its address with --kafka"
        ) from None


def refusal(error: KafkaException) -> str:
    """Return why the broker refuses something, in words."""
    first: KafkaError = error.args[0]
    return refusal_reason(first.name(), first.str() or "")


def _reason(error: KafkaError, heard: list[KafkaError]) -> str:
    if error.code() >= 0:
        return refusal_reason(error.name(), error.str() or "")
    own = [] if error.code() == KafkaError._TRANSPORT else [error]
    return unreachable_reason(f"{one.name()}: {one.str()}" for one in (*heard, *own))
