"""A client of a Kafka's admin API that hears why it cannot connect. `admin.py` keeps one per login.

librdkafka's calls end with "Broker transport failure"; the reason comes by its error callback, and which of its checks
a certificate failed only by trying it with Python's own TLS.
"""

import re
import socket
import ssl
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from orderflow_model.kafka_reasons import refusal_reason, unreachable_reason

SECONDS = 8.0

_MOST_HEARD = 50
_PROBE_SECONDS = 2.0
_ADDRESS = re.compile(r"(?:\w+://)?(.+):(\d+)/")

T = TypeVar("T")


@dataclass(frozen=True)
class Login:
    """How the operator reaches the broker; without a mechanism as nobody. `authority` is a certificate as PEM."""

    bootstrap: str
    protocol: str = "PLAINTEXT"
    mechanism: str | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    authority: str | None = None

    def options(self) -> dict[str, Any]:
        """Return the client's settings."""
        options: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap,
            "client.id": "orderflow-operator",
            "socket.timeout.ms": SECONDS * 1000,
            "log_level": 0,
            "security.protocol": self.protocol,
        }
        if self.mechanism:
            options |= {"sasl.mechanism": self.mechanism, "sasl.username": self.username}
            options["sasl.password"] = self.password
        return options | ({"ssl.ca.pem": self.authority} if self.authority else {})


class KafkaClient:
    """An admin client and what it has heard lately; raise KafkaException for a login that can be none."""

    def __init__(self, login: Login, connect: Callable[[dict[str, Any]], AdminClient]) -> None:
        self._login = login
        self._heard: deque[KafkaError] = deque(maxlen=_MOST_HEARD)
        self.admin = connect(login.options() | {"error_cb": self._heard.append})

    def reason(self, error: KafkaException) -> str:
        """Return why a call failed: in the broker's words, or why it was not reached."""
        first = error.args[0]
        if first.code() >= 0:
            return refusal(error)
        self.admin.poll(0)
        heard = [f"{one.name()}: {one.str()}" for one in self._heard]
        self._heard.clear()
        doubted = next((one for one in heard if "certificate verify failed" in one), None)
        checked = [_handshake(doubted, self._login.authority)] if doubted else []
        return unreachable_reason([*heard, *checked, *_own_words(first)])


def refusal(error: KafkaException) -> str:
    """Return why the broker refuses something, in words."""
    first = error.args[0]
    return refusal_reason(first.name(), first.str() or "")


def settled(future: "Future[T]") -> T:
    """Return what a call gave; raise `KafkaException` also where it took too long."""
    try:
        return future.result(SECONDS + 2)  # the client's own deadline says more
    except TimeoutError:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None


def raise_if_away(error: KafkaException) -> None:
    """Raise an error that is no answer of the broker: nothing else would fare better."""
    if error.args[0].code() < 0:
        raise error


def unmade(error: KafkaException) -> str:
    """Return why no client could be made of a login."""
    return unreachable_reason(_own_words(error.args[0]))


def _own_words(error: KafkaError) -> list[str]:
    """Return what the failed call says itself; that it found no connection is no reason."""
    return [] if error.code() == KafkaError._TRANSPORT else [f"{error.name()}: {error.str()}"]


def _handshake(heard: str, authority: str | None) -> str:
    """Return how a TLS handshake with the broker that was heard of fails, in Python's words."""
    found = _ADDRESS.search(heard.partition(": ")[2])
    if found is None:
        return ""
    host, port = found[1].strip("[]"), int(found[2])
    try:
        context = ssl.create_default_context(cadata=authority)
        with (
            socket.create_connection((host, port), _PROBE_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return ""
    except OSError as error:
        return str(error)
