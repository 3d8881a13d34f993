"""A client of one HTTP/1.1 server on this machine, the program beside the dispatcher: httptools on plain sockets.

A request is bytes that its caller has made. What a client for the whole web does besides (cookies, redirects, proxies,
TLS) costs several times what the exchange costs, for each event (docs/decisions/0098).
Source: RFC 9112, HTTP/1.1; an answer without a length ends with its connection (section 6.3).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import httptools

HOST = "127.0.0.1"
MOST_BODY_BYTES = 64 * 1024 * 1024


class UnreachableError(Exception):
    """Nobody listens on the port."""


class DisconnectedError(Exception):
    """The connection ended before the answer did, or what came is no HTTP."""


@dataclass(slots=True)
class Answer:
    """An answer; names of headers are in lower case, their values decoded as Latin-1."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def media_type(self) -> str:
        """Return the type of the body without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class HttpClient:
    """Keeps connections to a port and gives each to one request at a time."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._idle: list[_Connection] = []

    async def send(self, request: bytes, seconds: float) -> Answer:
        """Send a request and return its answer; raise `TimeoutError` after so many seconds, or the errors of this file.

        A connection that was kept may have been closed as the request went out: then it is sent anew, once.
        """
        async with asyncio.timeout(seconds):
            connection = self._kept()
            if connection is not None:
                try:
                    return await self._exchange(connection, request)
                except DisconnectedError:
                    if connection.has_heard:
                        raise
            return await self._exchange(await self._connect(), request)

    async def connect(self) -> None:
        """Find somebody who listens; raise `UnreachableError`."""
        self._idle.append(await self._connect())

    def close(self) -> None:
        """Close the connections that nobody uses."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def _exchange(self, connection: "_Connection", request: bytes) -> Answer:
        try:
            answer = await connection.exchange(request)
        except BaseException:
            connection.close()
            raise
        if connection.is_open:
            self._idle.append(connection)
        return answer

    def _kept(self) -> "_Connection | None":
        while self._idle:
            if (connection := self._idle.pop()).is_open:
                return connection
        return None

    async def _connect(self) -> "_Connection":
        try:
            _, connection = await asyncio.get_running_loop().create_connection(_Connection, HOST, self.port)
        except OSError as error:
            raise UnreachableError(f"nobody listens on port {self.port}") from error
        return connection


class _Connection(asyncio.Protocol):
    """One connection, with at most one request under way."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer = Answer()
        self._chunks: list[bytes] = []
        self._size = 0
        self._has_head = False
        self.has_heard = False
        """whether any of the answer to the last request has come"""

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def exchange(self, request: bytes) -> Answer:
        if self._transport is None or self._transport.is_closing():
            raise DisconnectedError("the connection was closed")
        self._waiting = asyncio.get_running_loop().create_future()
        self._begin()
        self.has_heard = False
        self._transport.write(request)
        return await self._waiting

    def _begin(self) -> None:
        self._answer, self._chunks, self._size, self._has_head = Answer(), [], 0, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # of a stream; uvloop's has no base of asyncio's

    def data_received(self, data: bytes) -> None:
        self.has_heard = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(DisconnectedError(f"what came is no HTTP answer: {error}"))
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self._has_head and not _has_length(self._answer.headers) and error is None:
            self._finish()
        self._fail(DisconnectedError("the connection ended before the answer did"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()
        self._has_head = True

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > MOST_BODY_BYTES:
            self._fail(DisconnectedError(f"the answer has more than {MOST_BODY_BYTES} bytes"))
            self.close()
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        if self._answer.status < 200:  # an interim answer, of which another follows
            self._begin()
            return
        if not self._parser.should_keep_alive() and self._transport is not None:
            self._transport.close()
        self._finish()

    def _finish(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._answer.body = b"".join(self._chunks)
            self._waiting.set_result(self._answer)

    def _fail(self, error: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)


def _has_length(headers: Mapping[str, str]) -> bool:
    return "content-length" in headers or "transfer-encoding" in headers
