"""Why Kafka does not let a client in, or is not there, in the words of its connections. `kafka_log.py` tells them on.

A bootstrap of aiokafka keeps its reason for the log: connections (`aiokafka_compat.py`) add it to what is `heard` here.
"""

import ssl
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from orderflow_model.kafka_reasons import unreachable_reason

_REFUSALS = (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
    ssl.SSLCertVerificationError,
)
_MOST_HEARD = 20
heard: ContextVar[deque[Exception] | None] = ContextVar("heard", default=None)
"""Why connections failed that were made within `hearing`."""


@contextmanager
def hearing() -> Iterator[deque[Exception]]:
    """Yield what goes wrong with the connections of clients that are started within, for as long as they live.

    A connection that is made clears it: what stands there has gone wrong since.
    """
    failures: deque[Exception] = deque(maxlen=_MOST_HEARD)
    token = heard.set(failures)
    try:
        yield failures
    finally:
        heard.reset(token)


def refuses(failures: Iterable[Exception]) -> bool:
    """Return whether Kafka is there and a person has to mend how a client comes in."""
    return any(isinstance(error, _REFUSALS) for error in failures)


def reason(error: Exception, failures: Iterable[Exception]) -> str:
    """Return why a client could not be started, in words."""
    if isinstance(error, FileNotFoundError | PermissionError):
        return f"{error.filename} cannot be read: {error.strerror}"
    if isinstance(error, GroupAuthorizationFailedError):
        return f"this service's user may not join its group {error}: give it Read on that group"
    if isinstance(error, KafkaConnectionError | OSError):
        return unreachable_reason(f"{type(one).__name__}: {one}" for one in (*failures, error))
    return repr(error)
