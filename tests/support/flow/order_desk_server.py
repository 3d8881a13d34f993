"""The order service's real API before a desk in memory, served over HTTP: what places orders meets its true answers."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Receive, Scope, Send

from orderflow_cli.servers.ports import HOST
from orderflow_order.http.api import build_app
from orderflow_runtime.api_server import serve
from orderflow_runtime.ending import Ending
from orderflow_runtime.endpoints import Endpoints
from orderflow_runtime.http_server import listen
from support.runtime.order_desk import NOW, OrderDesk


@dataclass
class DeskServer:
    """The desk, the address of its API, and the headers of every request."""

    desk: OrderDesk
    url: str
    seen: list[Mapping[str, str]] = field(default_factory=list)


@asynccontextmanager
async def serving_desk(port: int = 0) -> AsyncIterator[DeskServer]:
    """Serve a desk without orders."""
    desk, ending = OrderDesk(), Ending()
    listener = listen(HOST, port, "port")
    server = DeskServer(desk, f"http://{HOST}:{listener.getsockname()[1]}")
    app = _noting(build_app(desk, None, lambda: NOW), server)
    task = asyncio.create_task(serve(Endpoints(None, None), app, listener, ending, keep_alive=5))
    try:
        yield server
    finally:
        ending.ask()
        await task


def _noting(app: ASGIApp, server: DeskServer) -> ASGIApp:
    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            server.seen.append({name.decode(): value.decode() for name, value in scope["headers"]})
        await app(scope, receive, send)

    return note
