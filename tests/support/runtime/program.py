"""A program as a service with push has it: an HTTP server in the test's own process, that notes what it is sent."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from orderflow_cli.servers.ports import free_port


@dataclass
class Got:
    """A request: names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Respond = Callable[[Got], Awaitable[web.Response]]


@dataclass
class Program:
    """What it has got so far, and how it answers."""

    respond: Respond
    port: int = field(default_factory=free_port)
    got: list[Got] = field(default_factory=list)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Program"]:
        """Listen on its port while the block runs."""

        async def handle(request: web.Request) -> web.Response:
            headers = {name.lower(): value for name, value in request.headers.items()}
            got = Got(request.method, request.path, headers, await request.read())
            self.got.append(got)
            return await self.respond(got)

        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self.port).start()
            yield self
        finally:
            await runner.cleanup()
