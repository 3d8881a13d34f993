"""A service's HTTP server: health and metrics for the platform, and the service's own API, on one port."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp


@dataclass(frozen=True)
class Probes:
    """What the endpoints tell: `alive` means progress, `ready` means assigned."""

    alive: Callable[[], bool]
    ready: Callable[[], bool]
    metrics: Callable[[], bytes]


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the application."""
        yield


def health_app(probes: Probes, app: ASGIApp | None) -> Starlette:
    """Make the ASGI application."""

    async def livez(_: Request) -> Response:
        return _verdict(probes.alive())

    async def readyz(_: Request) -> Response:
        return _verdict(probes.ready())

    async def metrics(_: Request) -> Response:
        return Response(probes.metrics(), media_type="text/plain; version=0.0.4")

    routes: list[Route | Mount] = [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]
    if app is not None:
        routes.append(Mount("/", app))
    return Starlette(routes=routes)


async def serve(app: ASGIApp, host: str, port: int, stopping: asyncio.Event) -> None:
    """Serve until `stopping`, then finish the requests under way."""
    server = _Server(
        uvicorn.Config(app, host, port, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=5)
    )
    serving = asyncio.create_task(server.serve())
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopped.cancel()
    await serving


def _verdict(good: bool) -> Response:
    return PlainTextResponse("ok" if good else "no", status_code=200 if good else 503)
