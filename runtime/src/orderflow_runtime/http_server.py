"""The HTTP server of a process: its endpoints, and where a service has an API, that behind them (`api_server.py`).

A process without an API answers by h11 on plain streams: it is asked a few times a minute, and needs no framework in
its memory, nor a server that wakes up ten times a second.
"""

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass

import h11

from orderflow_model import environment
from orderflow_runtime.ending import Ending
from orderflow_runtime.endpoints import Answer, Endpoints
from orderflow_runtime.settings import MisconfiguredError
from orderflow_runtime.variables import whole_number

_READ_BYTES = 16_384
_FIRST_SECONDS = 30.0
"""For the first request of a connection, all of it; later ones have as long as the connection is kept."""
_MOST_HEAD_BYTES = 1_048_576
"""Of a request, with what proxies and tracers put into its headers."""


@dataclass(frozen=True)
class HttpSettings:
    """Where a process listens, how many seconds an idle connection is kept, and how many its end takes to begin.

    Without a `metrics_port` metrics are on the other.
    """

    host: str
    port: int
    metrics_port: int | None
    keep_alive: int
    drain: int

    @classmethod
    def read(cls, env: Mapping[str, str]) -> "HttpSettings":
        """Return what an environment says; raise `MisconfiguredError` when a number is none."""
        return cls(
            host=env.get(environment.HTTP_HOST) or environment.DEFAULT_HTTP_HOST,
            port=whole_number(env, environment.HTTP_PORT, environment.DEFAULT_HTTP_PORT, 65_535),
            metrics_port=whole_number(env, environment.METRICS_PORT, 0, 65_535) or None,
            keep_alive=whole_number(env, environment.HTTP_KEEP_ALIVE, environment.DEFAULT_HTTP_KEEP_ALIVE, 86_400),
            drain=whole_number(env, environment.HTTP_DRAIN, environment.DEFAULT_HTTP_DRAIN, 3_600),
        )


def listen(host: str, port: int, variable: str) -> socket.socket:
    """Take the address; raise `MisconfiguredError`, with the port's `variable`, when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, UnicodeError) as error:  # what is no name of a host at all is no error of the system
        listener.close()
        why = getattr(error, "strerror", "no such host")
        raise MisconfiguredError(
            f"{environment.HTTP_HOST} and {variable}: cannot listen on {host}:{port}: {why}"
        ) from None
    return listener


async def serve(endpoints: Endpoints, listener: socket.socket, ending: Ending, keep_alive: int) -> None:
    """Serve until the end is due; what is asked is answered at once, so nothing is under way then."""
    writers: set[asyncio.StreamWriter] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            await _Conversation(endpoints, ending, keep_alive, reader, writer).hold()
        except (OSError, TimeoutError):
            pass  # the other side has gone, or says nothing
        finally:
            writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(converse, sock=listener)
    try:
        await ending.due.wait()
    finally:
        server.close()
        for writer in writers:
            writer.close()


class _Conversation:
    """The requests of one connection, one after another."""

    def __init__(
        self,
        endpoints: Endpoints,
        ending: Ending,
        keep_alive: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._endpoints, self._ending, self._keep_alive = endpoints, ending, keep_alive
        self._reader, self._writer, self._wait = reader, writer, _FIRST_SECONDS
        self._http = h11.Connection(h11.SERVER, _MOST_HEAD_BYTES)

    async def hold(self) -> None:
        """Answer until one side closes; raise `OSError` or `TimeoutError` when the other does not go on."""
        try:
            while request := await self._request():
                has_body = not isinstance(self._http.next_event(), h11.EndOfMessage)
                await self._send(self._answer(request), request.method, closes=has_body or self._ending.asked)
                if self._http.our_state is h11.MUST_CLOSE:
                    return
                self._http.start_next_cycle()
                self._wait = self._keep_alive
        except h11.RemoteProtocolError as error:
            if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                await self._send(Answer(error.error_status_hint, b"this is no HTTP request"), b"", closes=True)

    async def _request(self) -> h11.Request | None:
        """Return the next request, without its body; None when there is none."""
        async with asyncio.timeout(self._wait):
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(_READ_BYTES))
        return event if isinstance(event, h11.Request) else None

    def _answer(self, request: h11.Request) -> Answer:
        path, accept = request.target.partition(b"?")[0], dict(request.headers).get(b"accept", b"")
        asked = (part.decode("latin-1") for part in (request.method, path, accept))
        return self._endpoints.answer(*asked) or Answer(404, b"Not Found")

    async def _send(self, answer: Answer, method: bytes, *, closes: bool) -> None:
        headers = [("content-type", answer.media_type), ("content-length", str(len(answer.body)))]
        if closes:
            headers.append(("connection", "close"))
        body = b"" if method == b"HEAD" else answer.body
        parts = h11.Response(status_code=answer.status, headers=headers), h11.Data(data=body), h11.EndOfMessage()
        self._writer.write(b"".join(sent for part in parts if (sent := self._http.send(part))))
        await self._writer.drain()
