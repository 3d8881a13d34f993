"""Sample orders on their way to an order service that is away at times, refuses one, or is none."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from orderflow_cli.errors import OrdersRefusedError
from orderflow_cli.order_client import NoOrderServiceError
from orderflow_cli.shop.posting import Posted, post_orders

ORDERS = [{"idempotencyKey": f"k{n}"} for n in range(1200)]


class Desk:
    """A stand-in for the order service: it takes any order, once it has given `answers`."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.answers: list[Callable[[], web.Response]] = []
        self.status = 201

    async def place(self, request: web.Request) -> web.Response:
        """Answer POST /orders/batch."""
        if self.answers:
            return self.answers.pop(0)()
        self.taken += (lines := (await request.text()).splitlines())
        return web.json_response({"results": [{"status": self.status} for _ in lines]})


@pytest.fixture
async def desk() -> Desk:
    """The stand-in."""
    return Desk()


@pytest.fixture
async def url(desk: Desk) -> AsyncIterator[str]:
    """Its address."""
    app = web.Application()
    app.add_routes([web.post("/orders/batch", desk.place)])
    async with TestServer(app) as server:
        yield str(server.make_url(""))


RATES = pytest.mark.parametrize("rate", [None, 20_000.0])


@RATES
async def test_every_order_is_placed_once_though_the_service_is_away_at_times(
    desk: Desk, url: str, rate: float | None
) -> None:
    """What it did not take is sent again, at any rate."""
    desk.answers = [lambda: web.Response(status=503), lambda: web.Response(status=429)]
    await post_orders(url, ORDERS, rate, posted := Posted())
    assert (posted.orders, posted.finished) == (1200, True)
    assert len(desk.taken) == len(set(desk.taken)) == 1200


@RATES
async def test_a_refused_sample_order_ends_it(desk: Desk, url: str, rate: float | None) -> None:
    """No sample order is wrong by intent, so one that is refused is not passed over."""
    desk.status = 422
    with pytest.raises(OrdersRefusedError, match="422"):
        await post_orders(url, ORDERS, rate, Posted())


@pytest.mark.parametrize(
    "answer",
    [{"status": 404}, {"text": '{"results": []}'}, {"text": "hi"}, {"text": '{"no": 1}'}],
    ids=["unknown path", "results of no order", "no JSON", "no results"],
)
@RATES
async def test_an_answer_that_is_no_order_services_counts_no_order(
    desk: Desk, url: str, answer: Any, rate: float | None
) -> None:
    """It ends the posting with a line that shows the answer."""
    desk.answers = [lambda: web.Response(**answer)] * 10
    with pytest.raises(NoOrderServiceError, match="answers"):
        await post_orders(url, ORDERS[:10], rate, posted := Posted())
    assert posted.orders == 0
