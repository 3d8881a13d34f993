"""A double of OpenSearch: the requests that `orderflow_documents.search` makes, and no more."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer


class Double:
    """An OpenSearch with one index, in which every text is found by any words."""

    def __init__(self) -> None:
        self.fault, self.made = False, False
        self.login = ""
        self.versions: dict[str, int] = {}
        self.texts: dict[str, dict[str, Any]] = {}

    async def answer(self, request: web.Request) -> web.Response:
        """Answer any request."""
        if self.login and request.headers.get("authorization") != self.login:
            return web.json_response({}, status=401)
        if self.fault:
            return web.json_response({"error": "full"}, status=429)
        place = request.path.removeprefix("/docs")
        if place == "/_refresh":
            return web.json_response({})
        if place == "/_search":
            return web.json_response({"hits": {"hits": [{"_id": name} for name in self.texts]}})
        if not place:
            status, self.made = (400 if self.made else 200), True
            return web.json_response({}, status=status)
        told = await request.json() if request.method == "PUT" else None
        return self._write(place.rpartition("/")[2], int(request.query["version"]), told)

    def _write(self, name: str, version: int, told: dict[str, Any] | None) -> web.Response:
        if version < self.versions.get(name, 0):
            return web.json_response({}, status=409)
        self.versions[name] = version
        self.texts.pop(name, None)
        if told is not None:
            self.texts[name] = told
        return web.json_response({})

    @asynccontextmanager
    async def served(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        """Serve it; give the index's address."""
        app = web.Application()
        app.router.add_route("*", "/{any:.*}", self.answer)
        server = TestServer(app, host="127.0.0.1")
        await server.start_server(ssl=tls)
        try:
            yield f"http{'s' if tls else ''}://127.0.0.1:{server.port}/docs"
        finally:
            await server.close()
