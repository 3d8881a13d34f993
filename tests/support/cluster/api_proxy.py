"""A proxy of the tests between the operator and the API server, which does to it what networks and servers do.

It speaks plain HTTP to the operator and HTTPS to the server; the caller's token goes through unchanged.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from orderflow_cli.servers.ports import HOST, free_port

WRITES = ("POST", "PUT", "PATCH", "DELETE")
_HOP = {"connection", "transfer-encoding", "content-length", "content-encoding", "host", "accept-encoding"}
_GONE = {"code": 410, "reason": "Expired", "message": "too old resource version"}


@dataclass
class Faults:
    """What goes wrong now. Shares are of 1; the default is that all goes well."""

    conflict: float = 0  # writes answered with 409
    throttle: float = 0  # requests answered with 429 and Retry-After
    broken: float = 0  # requests answered with 500
    gone: bool = False  # watches answered with 410
    watch_seconds: float = 0  # watches end after so long
    silent: bool = False  # watches that open now never say anything
    expired: bool = False  # the token is refused


class ApiProxy:
    """The proxy while its context is open: `url` is what the operator is given, `faults` may change at any time."""

    def __init__(self, upstream: str) -> None:
        self.url = f"http://{HOST}:{free_port()}"
        self.faults = Faults()
        self.allowance: int | None = None
        """How many writes may still pass, events and what the server refuses aside; the next ones wait. None is as many
        as come."""
        self.on_write: Callable[[str, str], None] = lambda method, path: None
        """Called with method and path after the server has done a write and before the operator hears of it; not of
        events."""
        self._upstream = upstream
        self._random = random.Random(7)
        self._http: aiohttp.ClientSession

    @asynccontextmanager
    async def open(self) -> AsyncIterator["ApiProxy"]:
        """Serve until the body ends."""
        application = web.Application(client_max_size=2**24)
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False, limit=0)) as self._http:
            try:
                await web.TCPSite(runner, HOST, int(self.url.rpartition(":")[2])).start()
                yield self
            finally:
                await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if refused := self._refusal(request):
            return refused
        if _is_write(request):
            while self.allowance == 0:  # noqa: ASYNC110 - it ends with the operator, or when a write before is refused
                await asyncio.sleep(0.02)
            self.allowance = None if self.allowance is None else self.allowance - 1
        return await self._forward(request)

    def _refusal(self, request: web.Request) -> web.Response | None:
        faults, draw = self.faults, self._random.random
        if faults.expired:
            return _status(401, "Unauthorized", "Unauthorized")
        if faults.gone and _is_watch(request):
            return web.json_response({"type": "ERROR", "object": {"kind": "Status", "status": "Failure", **_GONE}})
        if draw() < faults.throttle:
            return _status(429, "TooManyRequests", "slow down", {"Retry-After": "1"})
        if draw() < faults.broken:
            return _status(500, "InternalError", "etcdserver: request timed out")
        if request.method in WRITES and draw() < faults.conflict:
            return _status(409, "Conflict", "the object has been modified; please apply your changes")
        return None

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        body = await request.read()
        url = self._upstream + request.raw_path
        timeout = aiohttp.ClientTimeout(total=None)
        try:
            async with self._http.request(
                request.method, url, data=body or None, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                return await self._answer(request, answer)
        except aiohttp.ClientError as error:
            return _status(502, "BadGateway", str(error))

    async def _answer(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
        if _is_watch(request) and answer.status == 200:
            return await self._stream(request, answer, headers)
        body = await answer.read()
        if _is_write(request):
            self._count(request, refused=answer.status >= 400)
        return web.Response(status=answer.status, body=body, headers=headers)

    def _count(self, request: web.Request, *, refused: bool) -> None:
        if not refused:
            self.on_write(request.method, request.path)
        elif self.allowance is not None:
            self.allowance += 1

    async def _stream(
        self, request: web.Request, answer: aiohttp.ClientResponse, headers: dict[str, str]
    ) -> web.StreamResponse:
        silent, seconds = self.faults.silent, self.faults.watch_seconds
        response = web.StreamResponse(status=200, headers=headers)
        response.enable_chunked_encoding()
        await response.prepare(request)
        with suppress(TimeoutError, ConnectionError, aiohttp.ClientError):
            async with asyncio.timeout(seconds or None):
                async for chunk in answer.content.iter_any():
                    if not silent:
                        await response.write(chunk)
        return response


def _is_write(request: web.Request) -> bool:
    """Tell whether a request changes something that lasts: neither an event nor what is only tried."""
    return request.method in WRITES and not request.path.endswith("/events") and "dryRun" not in request.query


def _is_watch(request: web.Request) -> bool:
    return request.query.get("watch", "").lower() in ("true", "1")


def _status(code: int, reason: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code}
    return web.json_response(said | {"message": message}, status=code, headers=headers)
