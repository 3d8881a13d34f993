"""Events of the shop's orders, for its models."""

from pathlib import Path

from orderflow_shop.events import (
    Address,
    Customer,
    Line,
    OrderCompleted,
    OrderCreated,
    PaymentMethod,
    PaymentProcessed,
)
from support.analytics.stored import Stored, told

PROJECT = Path(__file__).parents[3] / "analytics" / "shop"
ANN = Customer(id="c1", email="ann@example.org", name="Ann")


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


def paid(order_id: str, amount: int = 1000) -> Stored:
    """Return its PAYMENT_PROCESSED."""
    return told(PaymentProcessed(order_id=order_id, amount=amount, currency="EUR", reference="r"))


def completed(order_id: str) -> Stored:
    """Return its ORDER_COMPLETED."""
    return told(OrderCompleted(order_id=order_id, customer=ANN, amount=1000, currency="EUR"))
