"""What customers are told, and in which words: pure, called by the handlers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orderflow_contracts.event import Event
from orderflow_contracts.sealed import MASK
from orderflow_shop.events import (
    CancelReason,
    Customer,
    InventoryUpdated,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    PaymentFailed,
    PaymentFailure,
    PaymentProcessed,
    ShipmentCreated,
    StockReserved,
)


@dataclass(frozen=True, slots=True)
class Contact:
    """Where a customer is reached."""

    email: str
    name: str


@dataclass(frozen=True, slots=True)
class Notice:
    """One fact to be told of an order, once: `kind` is the type of the event that is first to tell it."""

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
        """Return it as JSON values, for the call's request."""
        return {"id": self.id, "to": self.to, "name": self.name, "subject": self.subject, "text": self.text}


Words = tuple[str, str]
"""Subject and text."""

_CANCELLED: Mapping[CancelReason, str] = {
    CancelReason.OUT_OF_STOCK: "Something you ordered is not in stock.",
    CancelReason.SHIPMENT_FAILED: "We cannot deliver to your address.",
    CancelReason.CUSTOMER: "You asked us to cancel it.",
    CancelReason.DEADLINE: "We could not complete it in time.",
}


def contact(customer: Customer) -> Contact:
    """Return where the customer is reached."""
    return Contact(customer.email, customer.name)


def notice(event: Event) -> Notice | None:
    """Return what the event means to its customer; None when it is our own affair."""
    found = _WORDS[type(event)](event)
    return found and Notice(event.key, _kind(event), *found)


def address(notice: Notice, to: Contact) -> Message:
    """Make the notice a message."""
    return Message(f"{notice.order_id}:{notice.kind}", to.email, to.name, notice.subject, notice.text)


def is_erased(message: Message) -> bool:
    """Return whether its customer was erased, so that there is nobody to tell."""
    return message.to == MASK


def told(message: str) -> tuple[str, str]:
    """Return the order and the kind that the message with this id tells of; an order's id may have colons."""
    order_id, _, kind = message.rpartition(":")
    return order_id, kind


def money(amount: int, currency: str) -> str:
    """Write an amount of minor units; the currencies sold in have two decimal places."""
    return f"{amount // 100}.{amount % 100:02d} {currency}"


def _kind(event: Event) -> str:
    """Return the fact's name: a declined payment and the cancellation that follows from it are one."""
    declined = isinstance(event, OrderCancelled) and event.reason is CancelReason.PAYMENT_DECLINED
    return PaymentFailed.TYPE if declined else event.TYPE


def _created(event: OrderCreated) -> Words:
    return "We have your order", f"Your order {event.order_id} is in and being prepared."


def _stock_reserved(event: StockReserved) -> Words:
    if not event.partial:
        return "Your order is in stock", f"All of order {event.order_id} is in stock and kept for you."
    return (
        "Part of your order is in stock",
        f"What we have of order {event.order_id} is kept for you. You pay for that part alone.",
    )


def _payment_processed(event: PaymentProcessed) -> Words:
    paid = money(event.amount, event.currency)
    return "We have your payment", f"{paid} were paid for order {event.order_id}, by reference {event.reference}."


def _inventory_updated(event: InventoryUpdated) -> Words:
    return "Your order is being packed", f"Order {event.order_id} has left the shelf and is being packed."


def _payment_failed(event: PaymentFailed) -> Words | None:
    return _declined(event.order_id) if event.reason is PaymentFailure.DECLINED else None


def _shipment_created(event: ShipmentCreated) -> Words:
    return (
        "Your order is on its way",
        f"Order {event.order_id} was handed over; track it as {event.tracking}.",
    )


def _completed(event: OrderCompleted) -> Words:
    return "Your order is complete", f"Order {event.order_id} is complete. Thank you."


def _cancelled(event: OrderCancelled) -> Words:
    if event.reason is CancelReason.PAYMENT_DECLINED:
        return _declined(event.order_id)
    why = _CANCELLED[event.reason]
    return (
        "Your order is cancelled",
        f"Order {event.order_id} is cancelled. {why} What was charged is paid back.",
    )


def _declined(order_id: str) -> Words:
    return (
        "Your payment was declined",
        f"The payment for order {order_id} was declined, so the order is cancelled. Nothing was charged.",
    )


_WORDS: Mapping[type[Event], Callable[[Any], Words | None]] = {
    OrderCreated: _created,
    StockReserved: _stock_reserved,
    PaymentProcessed: _payment_processed,
    InventoryUpdated: _inventory_updated,
    ShipmentCreated: _shipment_created,
    PaymentFailed: _payment_failed,
    OrderCompleted: _completed,
    OrderCancelled: _cancelled,
}

SUBSCRIBES: tuple[type[Event], ...] = tuple(_WORDS)
