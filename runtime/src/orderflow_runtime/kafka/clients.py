"""aiokafka's clients where brokers die under them or do not let them in. `kafka_log.py` uses it.

Connections are lost in a write, ends fail, a cluster names no broker, and a bootstrap keeps its reason for the log: the
connections tell it here.

uvloop refuses a write on a transport that has just closed with RuntimeError, where asyncio's own lets it pass; aiokafka
reckons with OSError alone, and the task that keeps the consumer in its group would die of it.
"""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, conn
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import consumer as consumers
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.producer import producer as producers

from orderflow_model.kafka_reasons import unreachable_reason

logger = logging.getLogger(__name__)

_CLOSE_SECONDS = 5.0

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
_heard: ContextVar[deque[Exception] | None] = ContextVar("heard", default=None)
"""Why connections failed that were made within `hearing`."""


def install() -> None:
    """Make every aiokafka client of this process a `Client` that connects by `Connection`."""
    conn.AIOKafkaConnection = Connection
    consumers.AIOKafkaClient = producers.AIOKafkaClient = Client


def _or_lost(send: Callable[..., Any]) -> Callable[..., Any]:
    def send_or_close(self: "Connection", *request: Any, **options: Any) -> Any:
        try:
            return send(self, *request, **options)
        except RuntimeError as error:
            self.close(reason=conn.CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} broken: {error}") from error

    return send_or_close


class Connection(conn.AIOKafkaConnection):  # type: ignore[misc]  # aiokafka has no types
    """A connection that tells why it failed, and is lost, which is no error of ours, when it closes under a write."""

    async def connect(self) -> Any:
        """Connect, and authenticate where asked to."""
        heard = _heard.get()
        try:
            connected = await super().connect()
        except (OSError, KafkaError) as error:
            if heard is not None:
                heard.append(error)
            raise
        if heard is not None:
            heard.clear()
        return connected

    send = _or_lost(conn.AIOKafkaConnection.send)
    _send_sasl_token = _or_lost(conn.AIOKafkaConnection._send_sasl_token)


class Client(AIOKafkaClient):  # type: ignore[misc]  # aiokafka has no types
    """A client that has reached the cluster only when it knows a broker.

    A broker that stood still or has just come up answers and names none, itself included, until the controllers let
    it in. aiokafka goes on with that: a consumer dies of an AssertionError, a producer asks again without a pause.
    """

    async def bootstrap(self) -> None:
        """Ask for the cluster's brokers; raise `KafkaConnectionError` when there is no answer or none in it."""
        await super().bootstrap()
        if not self.cluster.brokers():
            raise KafkaConnectionError(f"{self.hosts} names no broker")


@contextmanager
def hearing() -> Iterator[deque[Exception]]:
    """Give what goes wrong with the connections of clients that are started within, for as long as they live.

    A connection that is made clears it: what stands there has gone wrong since.
    """
    heard: deque[Exception] = deque(maxlen=_MOST_HEARD)
    token = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(token)


def refuses(heard: Iterable[Exception]) -> bool:
    """Tell whether Kafka is there and a person has to mend how a client comes in."""
    return any(isinstance(error, _REFUSALS) for error in heard)


def reason(error: Exception, heard: Iterable[Exception]) -> str:
    """Return why a client could not be started, in words."""
    if isinstance(error, FileNotFoundError | PermissionError):
        return f"{error.filename} cannot be read: {error.strerror}"
    if isinstance(error, GroupAuthorizationFailedError):
        return f"this service's user may not join its group {error}: give it Read on that group"
    if isinstance(error, KafkaConnectionError | OSError):
        return unreachable_reason(f"{type(one).__name__}: {one}" for one in (*heard, error))
    return repr(error)


async def close_consumer(consumer: AIOKafkaConsumer) -> None:
    """Leave the group at once and end; where that fails or takes too long, end what is left running."""
    coordinator, fetcher = consumer._coordinator, consumer._fetcher
    if coordinator is not None:
        # aiokafka keeps a static member's seat until its session times out; a graceful stop gives it up
        coordinator._group_instance_id = None
    if await _is_closed(consumer.stop()):
        return
    if coordinator is not None:
        for task in (coordinator._coordination_task, coordinator._heartbeat_task, coordinator._commit_refresh_task):
            if task is not None:
                task.cancel()
    if fetcher is not None:
        await _is_closed(fetcher.close())
    await _is_closed(consumer._client.close())


async def close_producer(producer: AIOKafkaProducer) -> None:
    """End; what it does not get rid of in time is let go, for the outbox has it too."""
    if not await _is_closed(producer.stop()):
        if producer._sender.sender_task is not None:
            producer._sender.sender_task.cancel()
        await _is_closed(producer.client.close())


async def _is_closed(closing: Coroutine[Any, Any, None]) -> bool:
    """Wait for an end; tell whether it came in time and went well.

    In a task of its own: aiokafka waits for tasks that it has cancelled, and their cancellation is not ours.
    """
    task = asyncio.create_task(closing)
    try:
        done, _ = await asyncio.wait({task}, timeout=_CLOSE_SECONDS)
    finally:
        task.cancel()
    if not done or task.cancelled():
        return False
    if error := task.exception():
        logger.info("while closing: %r", error)
    return error is None
