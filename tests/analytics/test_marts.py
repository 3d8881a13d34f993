"""Marts are what their inputs say, and are written only when every test of the models holds."""

import asyncio
from pathlib import Path

import pytest

from orderflow_shop.events import (
    Address,
    Customer,
    Line,
    OrderCompleted,
    OrderCreated,
    PaymentMethod,
    PaymentProcessed,
)
from support.analytics.stored import Site, Stored, ran, told

PROJECT = Path(__file__).parents[2] / "analytics" / "shop"
ANN = Customer(id="c1", email="ann@example.org", name="Ann")


@pytest.fixture
async def site(database: str, tmp_path: Path) -> Site:
    """A sink's table, an empty lake, and the shop's models."""
    site = Site(database, tmp_path, {"models": str(PROJECT)})
    await site.prepare()
    return site


def placed(order_id: str) -> Stored:
    """Return an ORDER_CREATED of two pieces at 5.00."""
    lines, home = (
        (Line(sku="SKU-0001", quantity=2, unit_price=500),),
        Address(name="A", street="s", city="c", country="DE"),
    )
    method = PaymentMethod(token="tok_ok")  # noqa: S106 - the provider's word for a card that works
    return told(
        OrderCreated(
            order_id=order_id,
            customer=ANN,
            lines=lines,
            currency="EUR",
            payment=method,
            ship_to=home,
            allow_partial=False,
        )
    )


def paid(order_id: str) -> Stored:
    """Return its PAYMENT_PROCESSED."""
    return told(PaymentProcessed(order_id=order_id, amount=1000, currency="EUR", reference="r"))


def completed(order_id: str) -> Stored:
    """Return its ORDER_COMPLETED."""
    return told(OrderCompleted(order_id=order_id, customer=ANN, amount=1000, currency="EUR"))


async def test_marts_are_published_whole_and_only_when_they_hold(site: Site) -> None:
    """A run that dies between two marts is finished by the next; what contradicts the models publishes nothing."""
    await site.put([placed("o1"), paid("o1"), completed("o1")])
    commits_of_the_lake, first_mart = 4, 1
    await asyncio.to_thread(site.die, "after", commits_of_the_lake + first_mart)
    assert "marts: orders, revenue, saga_funnel, stock_by_day" in await ran(site)
    (order,) = site.rows("serving/orders")
    assert (order["outcome"], order["ordered_amount"], order["captured"]) == ("COMPLETED", 1000, 1000)
    published = {table: version for table, version in site.versions().items() if table.startswith("serving")}
    assert set(published.values()) == {0}
    await site.put([placed("o2"), completed("o2")])
    refused = await asyncio.to_thread(site.run)
    assert refused.returncode == 1
    assert "money_is_conserved" in refused.stderr
    assert {table: site.versions()[table] for table in published} == published
