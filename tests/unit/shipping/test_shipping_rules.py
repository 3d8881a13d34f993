"""The rules of shipping, driven directly."""

import pytest

from orderflow_shipping.domain import State, Step, cancel, ship, tracking_id
from orderflow_shop.events import (
    Address,
    CancelReason,
    Customer,
    InventoryUpdated,
    Line,
    OrderCancelled,
    ShipmentCreated,
    ShipmentFailed,
    ShipmentFailure,
)


def sold(country: str = "DE") -> InventoryUpdated:
    """Make sold goods that wait for a carrier."""
    address = Address(name="Ada", street="1 Row", city="Ulm", postcode="89073", country=country)
    lines = (Line(sku="A", quantity=2, unit_price=300), Line(sku="B", quantity=1, unit_price=50))
    return InventoryUpdated(order_id="o1", lines=lines, ship_to=address)


def cancelled(attempt: int = 1) -> OrderCancelled:
    """Make a cancellation."""
    ada = Customer(id="ada", email="ada@example.org", name="Ada")
    return OrderCancelled(order_id="o1", reason=CancelReason.CUSTOMER, customer=ada, attempt=attempt)


def test_goods_are_sent_with_their_value_and_a_steady_tracking_number() -> None:
    """The shipment is worth its lines, and its number follows from the order alone."""
    step = ship(None, sold())
    assert (step.row.state, step.row.value) == (State.CREATED, 650)
    assert step.events == (ShipmentCreated(order_id="o1", tracking=tracking_id("o1")),)
    assert tracking_id("o1") != tracking_id("o2")


def test_an_address_that_no_carrier_serves_is_refused() -> None:
    """The failure is known at once and nothing of value is sent."""
    step = ship(None, sold("XX"))
    assert (step.row.state, step.row.value) == (State.FAILED, 0)
    assert step.events == (ShipmentFailed(order_id="o1", reason=ShipmentFailure.UNSERVICEABLE_ADDRESS),)


def test_a_cancelled_order_is_not_sent() -> None:
    """Goods that come after the cancellation stay, and that is put on record."""
    step = ship(cancel(None, cancelled()).row, sold())
    assert step.row.state is State.CANCELLED
    assert step.events == (ShipmentFailed(order_id="o1", reason=ShipmentFailure.CANCELLED),)


def test_a_shipment_on_its_way_is_recalled_silently_and_once() -> None:
    """The first cancellation recalls, a resumed one changes nothing."""
    first = cancel(ship(None, sold()).row, cancelled())
    assert (first.row.state, first.events) == (State.RECALLED, ())
    assert cancel(first.row, cancelled(2)) == Step(first.row)


@pytest.mark.parametrize("country", ["DE", "XX"])
def test_goods_handed_over_again_are_not_sent_twice(country: str) -> None:
    """A second hand-over changes nothing and says nothing."""
    row = ship(None, sold(country)).row
    assert ship(row, sold(country)) == Step(row)
