"""What customers hear: something of each event they were promised, and nothing twice."""

import pytest

from orderflow_contracts.event import Event
from orderflow_notification.domain import SUBSCRIBES, address, contact, notice, told
from orderflow_shop.events import (
    Address,
    CancelReason,
    Customer,
    InventoryUpdated,
    Line,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    PaymentFailed,
    PaymentFailure,
    PaymentMethod,
    PaymentProcessed,
    ShipmentCreated,
    StockReserved,
)

ADA = Customer(id="ada", email="ada@example.org", name="Ada")
LINES = (Line(sku="apple", quantity=1, unit_price=1250),)
HOME = Address(name="Ada", street="1 Row", city="Ulm", postcode="89073", country="DE")
METHOD = PaymentMethod(token="tok")  # noqa: S106 - a made-up token


def reserved(partial: bool) -> StockReserved:
    """Make a reservation."""
    return StockReserved(order_id="o1", lines=LINES, amount=1250, currency="EUR", payment=METHOD, partial=partial)


def cancelled(reason: CancelReason) -> OrderCancelled:
    """Make a cancellation."""
    return OrderCancelled(order_id="o1", reason=reason, customer=ADA)


DECLINED = PaymentFailed(order_id="o1", reason=PaymentFailure.DECLINED)
SUCCESS: list[tuple[Event, str]] = [
    (
        OrderCreated(
            order_id="o1",
            customer=ADA,
            lines=LINES,
            currency="EUR",
            payment=METHOD,
            ship_to=HOME,
            allow_partial=False,
        ),
        "is in",
    ),
    (reserved(partial=False), "kept for you"),
    (PaymentProcessed(order_id="o1", amount=1250, currency="EUR", reference="pay_7"), "12.50 EUR"),
    (InventoryUpdated(order_id="o1", lines=LINES, ship_to=HOME), "packed"),
    (ShipmentCreated(order_id="o1", tracking="T1"), "T1"),
    (OrderCompleted(order_id="o1", customer=ADA, amount=1250, currency="EUR"), "complete"),
]


@pytest.mark.parametrize(("event", "words"), [*SUCCESS, (DECLINED, "declined")])
def test_each_event_is_told_in_words_of_its_own(event: Event, words: str) -> None:
    """A subscribed event becomes a notice that names the order and says what happened."""
    said = notice(event)
    assert type(event) in SUBSCRIBES
    assert said is not None
    assert (said.order_id, said.kind) == ("o1", event.TYPE)
    assert "o1" in said.text
    assert words in said.text


def test_no_two_notices_of_an_order_say_the_same() -> None:
    """An order that succeeds is told step by step, each step once."""
    said = [found for event, _ in SUCCESS if (found := notice(event))]
    assert len({found.kind for found in said}) == len({found.subject for found in said}) == len(SUCCESS)


def test_a_declined_payment_and_its_cancellation_are_one_fact() -> None:
    """Both events say the same under one kind, so that whichever comes first is told and the other is not."""
    assert notice(DECLINED) == notice(cancelled(CancelReason.PAYMENT_DECLINED))


@pytest.mark.parametrize("reason", [one for one in CancelReason if one is not CancelReason.PAYMENT_DECLINED])
def test_any_other_cancellation_says_why(reason: CancelReason) -> None:
    """A cancellation is told as such."""
    said = notice(cancelled(reason))
    assert said is not None
    assert said.kind == "ORDER_CANCELLED"
    assert "cancelled" in said.text


def test_a_part_that_is_in_stock_is_not_called_all() -> None:
    """Who allowed a partial delivery hears that it is one."""
    said = notice(reserved(partial=True))
    assert said is not None
    assert "part" in said.text
    assert "All" not in said.text


def test_a_message_s_id_leads_back_to_its_notice() -> None:
    """Also where the order's id has colons of its own."""
    said = notice(PaymentFailed(order_id="eu:7", reason=PaymentFailure.DECLINED))
    assert said is not None
    assert told(address(said, contact(ADA)).id) == ("eu:7", "PAYMENT_FAILED")
