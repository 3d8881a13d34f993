"""A service's HTTP server: health for the platform and the service's own API on one port, metrics there or on another.

It keeps idle connections for longer than the load balancers before it do: who closes first must not be the side that is
about to be sent a request. When the process is to end it answers until that is due, and closes the connection of each
answer.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orderflow_runtime.ending import Ending

_LAST_REQUESTS_SECONDS = 5
_CLOSE = (b"connection", b"close")


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


@dataclass(frozen=True)
class Probes:
    """What the endpoints tell: `alive` means progress, `obstacle` is why there is no work, `hindrance` what of it there
    is not; or nothing.

    Only an obstacle makes a process not ready: not to be ready is to get no requests, and stops what still goes on.
    """

    alive: Callable[[], bool]
    obstacle: Callable[[], str]
    hindrance: Callable[[], str]
    metrics: Callable[[str], tuple[bytes, str]]
    """Accept header → body and its media type"""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the application."""
        yield


def metrics_app(probes: Probes) -> Starlette:
    """Make the ASGI application of a port that serves nothing but metrics."""
    return Starlette(routes=[_metrics_route(probes)])


def health_app(probes: Probes, app: ASGIApp | None, *, metrics: bool) -> Starlette:
    """Make the ASGI application of a service's HTTP port, with its metrics or without."""

    async def livez(_: Request) -> Response:
        return _verdict("" if probes.alive() else "no progress")

    async def readyz(_: Request) -> Response:
        return _verdict(probes.obstacle(), probes.hindrance())

    routes: list[Route | Mount] = [Route("/livez", livez), Route("/readyz", readyz)]
    if metrics:
        routes.append(_metrics_route(probes))
    if app is not None:
        routes.append(Mount("/", app))
    return Starlette(routes=routes)


def _metrics_route(probes: Probes) -> Route:
    async def metrics(request: Request) -> Response:
        body, media_type = probes.metrics(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": media_type})

    return Route("/metrics", metrics)


def listen(host: str, port: int) -> socket.socket:
    """Take the address; raise `OSError` when another process has it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from None
    return listener


async def serve(app: ASGIApp, listener: socket.socket, ending: Ending, keep_alive: int) -> None:
    """Serve until the end is due, then finish the requests under way."""
    config = uvicorn.Config(
        _parting(app, ending),
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_keep_alive=keep_alive,
        timeout_graceful_shutdown=_LAST_REQUESTS_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopped = asyncio.create_task(ending.due.wait())
    await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopped.cancel()
    await serving


def _parting(app: ASGIApp, ending: Ending) -> ASGIApp:
    """Return the application with answers that close their connections once the end is asked for."""

    async def serve_one(scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if ending.asked and message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), _CLOSE]
            await send(message)

        await app(scope, receive, answer)

    return serve_one


def _verdict(obstacle: str, hindrance: str = "") -> Response:
    return PlainTextResponse(obstacle or hindrance or "ok", status_code=503 if obstacle else 200)
