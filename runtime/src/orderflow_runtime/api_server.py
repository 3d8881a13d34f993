"""The HTTP server of a service that has an API, an ASGI application: that stands behind the process's own endpoints.

It keeps idle connections for longer than the load balancers before it do: who closes first must not be the side that is
about to be sent a request. When the process is to end it answers until that is due, and closes the connection of each
answer.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orderflow_runtime.ending import Ending
from orderflow_runtime.endpoints import Answer, Endpoints

_LAST_REQUESTS_SECONDS = 5
_CLOSE = (b"connection", b"close")


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the application."""
        yield


async def serve(endpoints: Endpoints, app: ASGIApp, listener: socket.socket, ending: Ending, keep_alive: int) -> None:
    """Serve until the end is due, then finish the requests under way."""
    config = uvicorn.Config(
        _parting(_behind(endpoints, app), ending),
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_keep_alive=keep_alive,
        timeout_graceful_shutdown=_LAST_REQUESTS_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopped = asyncio.create_task(ending.due.wait())
    try:
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.should_exit = True
        stopped.cancel()
    await asyncio.shield(serving)  # uvicorn that is cancelled leaves its port taken


def _behind(endpoints: Endpoints, app: ASGIApp) -> ASGIApp:
    """Return an application that answers for the process, and hands all other requests on."""

    async def serve_one(scope: Scope, receive: Receive, send: Send) -> None:
        answer = None
        if scope["type"] == "http":
            accept = dict(scope["headers"]).get(b"accept", b"")
            answer = endpoints.answer(scope["method"], scope["path"], accept.decode("latin-1"))
        await (app(scope, receive, send) if answer is None else _send(answer, send))

    return serve_one


async def _send(answer: Answer, send: Send) -> None:
    fields = {"content-type": answer.media_type, "content-length": str(len(answer.body))}
    headers = [(name.encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _parting(app: ASGIApp, ending: Ending) -> ASGIApp:
    """Return the application with answers that close their connections once the end is asked for."""

    async def serve_one(scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if ending.asked and message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), _CLOSE]
            await send(message)

        await app(scope, receive, answer)

    return serve_one
