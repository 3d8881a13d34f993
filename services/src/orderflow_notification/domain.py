"""What customers are told, and in which words: pure, called by the handlers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orderflow_contracts.event import Event
from orderflow_contracts.events import (
    CancelReason,
    Customer,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    PaymentFailed,
    PaymentFailure,
    ShipmentCreated,
)


@dataclass(frozen=True, slots=True)
class Contact:
    """Where a customer is reached."""

    email: str
    name: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What is to be said of an order; `kind` is the event's type, and each is said once an order."""

    order_id: str
    kind: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """A notice to somebody; `id` is the same whenever it is sent."""

    id: str
    to: str
    name: str
    subject: str
    text: str

    def plain(self) -> dict[str, str]:
        """Give it as JSON values, for the call's request."""
        return {"id": self.id, "to": self.to, "name": self.name, "subject": self.subject, "text": self.text}


_CANCELLED: Mapping[CancelReason, str] = {
    CancelReason.OUT_OF_STOCK: "Something you ordered is not in stock.",
    CancelReason.PAYMENT_DECLINED: "Your payment was declined.",
    CancelReason.SHIPMENT_FAILED: "We cannot deliver to your address.",
    CancelReason.CUSTOMER: "You asked us to cancel it.",
    CancelReason.DEADLINE: "We could not complete it in time.",
}


def contact(customer: Customer) -> Contact:
    """Give where the customer is reached."""
    return Contact(customer.email, customer.name)


def notice(event: Event) -> Notice | None:
    """Give what the event means to its customer; None when it is our own affair."""
    found = _WORDS[type(event)](event)
    return found and Notice(event.key, event.TYPE, *found)


def address(notice: Notice, to: Contact) -> Message:
    """Make the notice a message."""
    return Message(f"{notice.order_id}:{notice.kind}", to.email, to.name, notice.subject, notice.text)


def money(amount: int, currency: str) -> str:
    """Write an amount of minor units; the currencies sold in have two decimal places."""
    return f"{amount // 100}.{amount % 100:02d} {currency}"


def _created(event: OrderCreated) -> tuple[str, str]:
    return "We have your order", f"Your order {event.order_id} is in and being prepared."


def _payment_failed(event: PaymentFailed) -> tuple[str, str] | None:
    if event.reason is not PaymentFailure.DECLINED:
        return None
    return "Your payment was declined", f"The payment for order {event.order_id} was declined."


def _shipment_created(event: ShipmentCreated) -> tuple[str, str]:
    return (
        "Your order is on its way",
        f"Order {event.order_id} was handed over; track it as {event.tracking}.",
    )


def _completed(event: OrderCompleted) -> tuple[str, str]:
    charged = money(event.amount, event.currency)
    return "Your order is complete", f"Order {event.order_id} is paid ({charged}) and on its way."


def _cancelled(event: OrderCancelled) -> tuple[str, str]:
    why = _CANCELLED[event.reason]
    return (
        "Your order is cancelled",
        f"Order {event.order_id} is cancelled. {why} What was charged is paid back.",
    )


_WORDS: Mapping[type[Event], Callable[[Any], tuple[str, str] | None]] = {
    OrderCreated: _created,
    PaymentFailed: _payment_failed,
    ShipmentCreated: _shipment_created,
    OrderCompleted: _completed,
    OrderCancelled: _cancelled,
}

SUBSCRIBES: tuple[type[Event], ...] = tuple(_WORDS)
