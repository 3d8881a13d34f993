"""A service's HTTP server: health for the platform and the service's own API on one port, metrics there or on another.

It keeps idle connections for longer than the load balancers before it do: who closes first must not be the side that is
about to be sent a request. When the process is to end it answers until that is due, and closes the connection of each
answer.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
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
    """What is told of a service: `alive` means progress, `obstacle` is why there is no work, `hindrance` what of it
    there is not; or nothing.

    Only an obstacle makes it not ready: not to be ready is to get no requests, and stops what still goes on.
    """

    alive: Callable[[], bool]
    obstacle: Callable[[], str]
    hindrance: Callable[[], str]


Page = Callable[[str], tuple[bytes, str]]
"""Accept header → the body of metrics and its media type"""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the application."""
        yield


def metrics_app(page: Page) -> Starlette:
    """Make the ASGI application of a port that serves nothing but metrics."""
    return Starlette(routes=[_metrics_route(page)])


def health_app(health: Mapping[str, Probes], app: ASGIApp | None, page: Page | None) -> Starlette:
    """Make the ASGI application of a service's HTTP port, with its metrics or without.

    `health` is told of the whole process at /livez and /readyz, of one service below: it is the process that is started
    anew, or sent no requests.
    """

    async def livez(request: Request) -> Response:
        return _verdict(_told(_asked(health, request), lambda one: "" if one.alive() else "no progress"))

    async def readyz(request: Request) -> Response:
        asked = _asked(health, request)
        return _verdict(_told(asked, lambda one: one.obstacle()), _told(asked, lambda one: one.hindrance()))

    routes: list[Route | Mount] = [
        Route(f"{path}{below}", answer)
        for path, answer in (("/livez", livez), ("/readyz", readyz))
        for below in ("", "/{service}")
    ]
    if page is not None:
        routes.append(_metrics_route(page))
    if app is not None:
        routes.append(Mount("/", app))
    return Starlette(routes=routes)


def _asked(health: Mapping[str, Probes], request: Request) -> Mapping[str, Probes]:
    """Return the services that a request asks for; raise the answer 404 for one that is not in this process."""
    name = request.path_params.get("service")
    if name is None:
        return health
    if name not in health:
        raise HTTPException(404, f"no service {name} here; here are: {', '.join(health)}")
    return {name: health[name]}


def _told(asked: Mapping[str, Probes], ask: Callable[[Probes], str]) -> str:
    """Return what the services say to a question, each by name where there are several."""
    said = {name: words for name, one in asked.items() if (words := ask(one))}
    return "; ".join(words if len(asked) == 1 else f"{name}: {words}" for name, words in said.items())


def _metrics_route(page: Page) -> Route:
    async def metrics(request: Request) -> Response:
        body, media_type = page(request.headers.get("accept", ""))
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
    try:
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.should_exit = True
        stopped.cancel()
    await asyncio.shield(serving)  # uvicorn that is cancelled leaves its port taken


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
