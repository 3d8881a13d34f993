"""What a service's answers mean for a message."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from orderflow_sources.front_door import Accepted, Away, FrontDoor, Refused
from orderflow_sources.message import Message, request_of

REQUEST = request_of(Message(b"{}", "k"), None, "")
PROBLEM = b'{"title": "wrong", "detail": "two", "errors": [{"place": "/a", "message": "no"}, 7]}'


class Service:
    """Answers as it is told."""

    status, body, location = 201, b"", "/elsewhere"

    async def answer(self, request: web.Request) -> web.Response:
        """Answer."""
        return web.Response(status=self.status, body=self.body, headers={"location": self.location})


@pytest.fixture
async def service() -> AsyncIterator[tuple[Service, FrontDoor]]:
    """A service, and the door that leads to it."""
    service, app = Service(), web.Application()
    app.add_routes([web.post("/orders", service.answer)])
    async with TestServer(app) as server, FrontDoor(str(server.make_url("/orders")), 2) as door:
        yield service, door


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 405, 408, 425, 429, 500, 502, 503, 504])
async def test_what_is_not_the_message_s_fault_is_waited_out(service: tuple[Service, FrontDoor], status: int) -> None:
    """A wrong address or right, a redirect, a full house: no message is refused for it."""
    service[0].status = status
    assert isinstance(await service[1].offer(REQUEST), Away)


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
async def test_a_refusal_tells_every_place(service: tuple[Service, FrontDoor], status: int) -> None:
    """The problem document's words, whatever else it holds; an answer without one is told as it is."""
    service[0].status, service[0].body = status, PROBLEM
    assert await service[1].offer(REQUEST) == Refused(f"{status}: wrong; two; /a: no")
    for body in (b"plain", b"[1]", b"\xff", b""):
        service[0].body = body
        assert isinstance(await service[1].offer(REQUEST), Refused)


async def test_what_was_known_is_told_from_what_is_new(service: tuple[Service, FrontDoor]) -> None:
    """201 is new, 200 known."""
    assert await service[1].offer(REQUEST) == Accepted(known=False)
    service[0].status = 200
    assert await service[1].offer(REQUEST) == Accepted(known=True)


async def test_nobody_there_is_waited_out() -> None:
    """A refused connection, a name that is none."""
    async with FrontDoor("http://127.0.0.1:1/orders", 1) as door:
        assert isinstance(await door.offer(REQUEST), Away)
