"""A stand-in for the order service over HTTP: what places orders in bulk meets it in the unit tests."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

REFUSED = {
    "title": "The order is not valid",
    "detail": "1 places are wrong",
    "errors": [{"place": "/x", "message": "no"}],
}


class StandIn:
    """It knows keys, refuses orders without one or, when told so, all of them, and obeys `answers` first."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}
        """how often each order was placed, by its key"""
        self.requests = 0
        self.answers: list[Callable[[], web.Response]] = []
        self.refuses = False

    @asynccontextmanager
    async def serving(self, port: int | None = None) -> AsyncIterator[str]:
        """Serve, on a free port or on this one; gives the address."""
        app = web.Application()
        app.add_routes([web.post("/orders/batch", self._place)])
        async with TestServer(app, port=port) as server:
            yield str(server.make_url(""))

    async def _place(self, request: web.Request) -> web.Response:
        self.requests += 1
        text = await request.text()
        if self.answers:
            return self.answers.pop(0)()
        return web.json_response({"results": [self._result(json.loads(line)) for line in text.splitlines()]})

    def _result(self, order: dict[str, Any]) -> dict[str, Any]:
        key = order.get("idempotencyKey")
        if key is None or self.refuses:
            return {"status": 422, "problem": REFUSED}
        self.known[key] = self.known.get(key, 0) + 1
        return {"status": 201 if self.known[key] == 1 else 200, "id": key}
