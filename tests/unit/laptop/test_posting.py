"""Sample orders on their way to an order service that is away at times, refuses one, or is none."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from orderflow_cli.errors import OrdersRefusedError
from orderflow_cli.order_client import NoOrderServiceError
from orderflow_cli.shop.posting import Posted, post_orders
from support.flow.order_service import StandIn

ORDERS = [{"idempotencyKey": f"k{n}"} for n in range(1200)]


@pytest.fixture
async def desk() -> StandIn:
    """The stand-in."""
    return StandIn()


@pytest.fixture
async def url(desk: StandIn) -> AsyncIterator[str]:
    """Its address."""
    async with desk.serving() as address:
        yield address


RATES = pytest.mark.parametrize("rate", [None, 20_000.0])


@RATES
async def test_every_order_is_placed_once_though_the_service_is_away_at_times(
    desk: StandIn, url: str, rate: float | None
) -> None:
    """What it did not take is sent again, at any rate."""
    desk.answers = [lambda: web.Response(status=503), lambda: web.Response(status=429)]
    await post_orders(url, ORDERS, rate, posted := Posted())
    assert (posted.orders, posted.finished) == (1200, True)
    assert len(desk.known) == sum(desk.known.values()) == 1200


@RATES
async def test_a_refused_sample_order_ends_it(desk: StandIn, url: str, rate: float | None) -> None:
    """No sample order is wrong by intent, so one that is refused is not passed over."""
    desk.refuses = True
    with pytest.raises(OrdersRefusedError, match="422"):
        await post_orders(url, ORDERS, rate, Posted())


@pytest.mark.parametrize(
    "answer",
    [{"status": 404}, {"text": '{"results": []}'}, {"text": "hi"}, {"text": '{"no": 1}'}],
    ids=["unknown path", "results of no order", "no JSON", "no results"],
)
@RATES
async def test_an_answer_that_is_no_order_services_counts_no_order(
    desk: StandIn, url: str, answer: Any, rate: float | None
) -> None:
    """It ends the posting with a line that shows the answer."""
    desk.answers = [lambda: web.Response(**answer)] * 10
    with pytest.raises(NoOrderServiceError, match="answers"):
        await post_orders(url, ORDERS[:10], rate, posted := Posted())
    assert posted.orders == 0
