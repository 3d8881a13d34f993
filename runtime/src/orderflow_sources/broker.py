"""A queue of a broker that speaks AMQP 0-9-1, by aio-pika: one connection at a time, and what is done with a delivery.

A connection that is lost takes its deliveries along: the broker gives them out anew. So nothing here is mended while it
lives; `source.py` opens the next.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue, DeliveryMode
from aio_pika.exceptions import AMQPError, ChannelClosed, ProbableAuthenticationError
from yarl import URL

from orderflow_sources.message import Message
from orderflow_sources.pamqp_compat import install, is_writable
from orderflow_sources.settings import SourceSettings

_ANSWER_SECONDS = 10.0
_MOST_REASON_BYTES = 2000
_ROUTED_BY = ("CC", "BCC")
"""Headers by which RabbitMQ would send a refused message to other queues besides."""

FAILURES = (AMQPError, OSError, TimeoutError, RuntimeError, EOFError)
"""What a broker that is away, or goes away, raises; aiormq's own state errors are `RuntimeError`."""


class NotLetInError(Exception):
    """The broker does not take the user or password of the URI."""


class LostError(Exception):
    """The connection, the channel or the queue is gone, or cannot be had; `str()` says why."""


class Session:
    """A connection that consumes. `lost` is done when it does no more."""

    def __init__(self, connection: AbstractConnection, channel: AbstractChannel, settings: SourceSettings) -> None:
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._connection, self._channel, self._settings = connection, channel, settings
        self._consumer: tuple[AbstractQueue, str] | None = None

    async def consume(self, take: Callable[["Session", AbstractIncomingMessage], None]) -> None:
        """Hand every delivery to `take`, in the queue's order; raise one of `FAILURES`."""
        self._channel.close_callbacks.add(self._on_close)
        under = await self._channel.get_underlay_channel()
        under.on_consumer_cancel_callbacks.add(lambda _: self.lose("the broker ended it: is the queue still there?"))
        queue = await self._channel.get_queue(self._settings.queue)

        async def on_message(delivery: AbstractIncomingMessage) -> None:
            take(self, delivery)

        tag = await queue.consume(on_message, timeout=_ANSWER_SECONDS)
        self._consumer = (queue, tag)

    async def stop(self) -> None:
        """Take no more deliveries."""
        if self._consumer is not None:
            queue, tag = self._consumer
            await queue.cancel(tag, timeout=_ANSWER_SECONDS)

    async def refuse(self, delivery: AbstractIncomingMessage, reason: str) -> None:
        """Put a delivery into the queue for refused messages, then acknowledge it; raise one of `FAILURES`.

        The broker has confirmed the copy by then. A process killed between the two leaves a second copy later.
        """
        copy = _copy(delivery, _told(reason, self._settings.queue))
        await self._channel.default_exchange.publish(
            copy, self._settings.refused, mandatory=True, timeout=_ANSWER_SECONDS
        )
        await delivery.ack()

    async def _on_close(self, channel: Any, error: BaseException | None) -> None:
        self.lose(str(error) if error else "the connection has ended")

    def lose(self, why: str) -> None:
        """Have the connection given up, as what cannot be settled over it comes again with the next."""
        if not self.lost.done():
            self.lost.set_result(why)


@asynccontextmanager
async def opened(settings: SourceSettings) -> AsyncIterator[Session]:
    """Connect, with the queue for refused messages there; raise `NotLetInError` or `LostError`."""
    install()
    try:
        connection = await _connected(settings)
    except ProbableAuthenticationError as error:
        raise NotLetInError(str(error)) from None
    except FAILURES as error:
        raise LostError(f"the broker at {_place(settings.uri)} cannot be reached: {error}") from None
    try:
        await _make_refused(connection, settings.refused)
        channel = await connection.channel(on_return_raises=True)
        await channel.set_qos(prefetch_count=settings.prefetch, timeout=_ANSWER_SECONDS)
        yield Session(connection, channel, settings)
    except FAILURES as error:
        raise LostError(str(error)) from None
    finally:
        with suppress(*FAILURES, asyncio.CancelledError):
            await asyncio.wait_for(connection.close(), _ANSWER_SECONDS)


async def _connected(settings: SourceSettings) -> AbstractConnection:
    return await aio_pika.connect(settings.uri, ssl_context=settings.tls, timeout=_ANSWER_SECONDS)


async def _make_refused(connection: AbstractConnection, name: str) -> None:
    """Make the queue for refused messages unless somebody has, in whichever way."""
    with suppress(ChannelClosed):
        async with connection.channel() as channel:
            await channel.get_queue(name)
            return
    async with connection.channel() as channel:
        await channel.declare_queue(name, durable=True, timeout=_ANSWER_SECONDS)


def message_of(delivery: AbstractIncomingMessage) -> Message:
    """Return what of a delivery matters to the service."""
    return Message(
        body=delivery.body,
        message_id=delivery.message_id,
        content_type=delivery.content_type,
        content_encoding=delivery.content_encoding,
        headers=delivery.headers or {},
    )


def _copy(delivery: AbstractIncomingMessage, told: dict[str, Any]) -> aio_pika.Message:
    """Return a message to keep: what would let it expire is left out, and whose it is, which only they may say.

    Of what cannot be written again as it came, the body is kept.
    """
    own = {name: value for name, value in (delivery.headers or {}).items() if name not in _ROUTED_BY}
    copy = aio_pika.Message(
        delivery.body,
        headers=own | told,
        content_type=delivery.content_type,
        content_encoding=delivery.content_encoding,
        delivery_mode=DeliveryMode.PERSISTENT,
        priority=delivery.priority,
        correlation_id=delivery.correlation_id,
        reply_to=delivery.reply_to,
        message_id=delivery.message_id,
        timestamp=delivery.timestamp,
        type=delivery.type,
        app_id=delivery.app_id,
    )
    if is_writable(copy.properties):
        return copy
    return aio_pika.Message(delivery.body, headers=told, delivery_mode=DeliveryMode.PERSISTENT)


def _told(reason: str, queue: str) -> dict[str, Any]:
    return {
        "orderflow-reason": reason.encode(errors="replace")[:_MOST_REASON_BYTES].decode(errors="ignore"),
        "orderflow-queue": queue,
        "orderflow-refused-at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _place(uri: str) -> str:
    """Return where a broker is, without who is sent there."""
    url = URL(uri)
    return f"{url.host}:{url.port}" if url.port else str(url.host)
