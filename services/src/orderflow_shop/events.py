"""The events of the reference flow. Money is in minor units (cents) of the order's currency."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from orderflow_contracts.event import LINES, ONE_LINE, PERSONAL, SUBJECT, Event, ForeignId, Identifier, Model

MAX_AMOUNT = 10**12
Minor = Annotated[int, Field(ge=0, le=MAX_AMOUNT, description="an amount in minor units of the currency")]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code")]
_Words = Annotated[str, Field(min_length=1, max_length=200, pattern=ONE_LINE)]
Personal = Annotated[_Words, Field(json_schema_extra=PERSONAL)]
"""Text about a person, on one line: it goes into Postgres, logs and mail headers."""
OptionalPersonal = Annotated[_Words | None, Field(json_schema_extra=PERSONAL, exclude_if=lambda text: text is None)]
"""The same where not everybody has it; then it is not written at all."""
Street = Annotated[str, Field(min_length=1, max_length=500, pattern=LINES, json_schema_extra=PERSONAL)]
"""What stands between name and city, on one line or several."""
_ADDRESS = r"^[^\s@\x00-\x1F\x7F-\x9F]+@[^\s@\x00-\x1F\x7F-\x9F]+$"
Email = Annotated[str, Field(max_length=200, pattern=_ADDRESS, json_schema_extra=PERSONAL)]


class CancelReason(StrEnum):
    """Why an order is cancelled."""

    OUT_OF_STOCK = "OUT_OF_STOCK"
    PAYMENT_DECLINED = "PAYMENT_DECLINED"
    SHIPMENT_FAILED = "SHIPMENT_FAILED"
    CUSTOMER = "CUSTOMER"
    DEADLINE = "DEADLINE"


class PaymentFailure(StrEnum):
    """Why a payment, or its refund, did not happen."""

    DECLINED = "DECLINED"
    CANCELLED = "CANCELLED"
    REFUND_REJECTED = "REFUND_REJECTED"


class ShipmentFailure(StrEnum):
    """Why a shipment was not made."""

    UNSERVICEABLE_ADDRESS = "UNSERVICEABLE_ADDRESS"
    CANCELLED = "CANCELLED"


class Customer(Model):
    """Who ordered."""

    id: Annotated[ForeignId, Field(json_schema_extra=SUBJECT)]
    email: Email
    name: Personal


class Address(Model):
    """Where the goods go; `region` is the state, province or county, where the country has them in addresses."""

    name: Personal
    street: Street
    city: Personal
    region: OptionalPersonal = None
    postcode: OptionalPersonal = None
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2 code")]


class Line(Model):
    """So many of one article, at one price."""

    sku: ForeignId
    quantity: Annotated[int, Field(ge=1, le=1_000_000)]
    unit_price: Minor


def total(lines: Sequence[Line]) -> int:
    """Return what the lines cost together, in minor units."""
    return sum(line.quantity * line.unit_price for line in lines)


def payable(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """Refuse lines whose total is more than an amount can be, before somebody has to charge it."""
    if total(lines) > MAX_AMOUNT:
        raise ValueError(f"the lines cost more than {MAX_AMOUNT} minor units together")
    return lines


Lines = Annotated[tuple[Line, ...], Field(min_length=1, max_length=100), AfterValidator(payable)]
MaybeLines = Annotated[tuple[Line, ...], Field(max_length=100)]


Token = Annotated[str, Field(min_length=1, max_length=2048, pattern=ONE_LINE)]
"""What a payment provider gave for a card or account; some give long ones."""


class PaymentMethod(Model):
    """A token from the payment provider; never a card number."""

    token: Token


class OrderEvent(Event):
    """An event of one order; its key is the order's id."""

    order_id: Identifier

    @property
    def key(self) -> str:
        """The order's id."""
        return self.order_id


def _created_v1(data: dict[str, Any]) -> dict[str, Any]:
    """Return today's form of version 1, which had no currency (all was in euro) and no choice of partial delivery."""
    return {"currency": "EUR", "allowPartial": False} | data


class OrderCreated(OrderEvent):
    """An order was placed and waits for stock."""

    TYPE = "ORDER_CREATED"
    VERSION = 2
    UPCASTERS = {1: _created_v1}  # noqa: RUF012 - declared ClassVar by the base

    customer: Customer
    lines: Lines
    currency: Currency
    payment: PaymentMethod
    ship_to: Address
    allow_partial: bool


class StockReserved(OrderEvent):
    """Stock is held for these lines; `amount` is what to charge. It carries what payment needs."""

    TYPE = "STOCK_RESERVED"

    lines: Lines
    amount: Minor
    currency: Currency
    payment: PaymentMethod
    partial: bool


class OutOfStock(OrderEvent):
    """Nothing is held: these lines could not be reserved."""

    TYPE = "OUT_OF_STOCK"

    missing: Lines


class PaymentProcessed(OrderEvent):
    """The amount was captured."""

    TYPE = "PAYMENT_PROCESSED"

    amount: Minor
    currency: Currency
    reference: ForeignId


class PaymentFailed(OrderEvent):
    """Nothing was captured (DECLINED, CANCELLED), or a refund was refused (REFUND_REJECTED)."""

    TYPE = "PAYMENT_FAILED"

    reason: PaymentFailure


class PaymentRefunded(OrderEvent):
    """All that was captured is given back; `amount` is 0 where nothing had been."""

    TYPE = "PAYMENT_REFUNDED"

    amount: Minor
    currency: Currency


class InventoryUpdated(OrderEvent):
    """The held stock is sold and leaves the shelf. It carries what shipping needs."""

    TYPE = "INVENTORY_UPDATED"

    lines: Lines
    ship_to: Address


class StockRestored(OrderEvent):
    """What was held or sold is back on the shelf; no lines where nothing was."""

    TYPE = "STOCK_RESTORED"

    lines: MaybeLines


class ShipmentCreated(OrderEvent):
    """A shipment is on its way."""

    TYPE = "SHIPMENT_CREATED"

    tracking: ForeignId


class ShipmentFailed(OrderEvent):
    """No shipment: the carrier refuses, or the order was cancelled first."""

    TYPE = "SHIPMENT_FAILED"

    reason: ShipmentFailure


class OrderCompleted(OrderEvent):
    """The order is paid and on its way."""

    TYPE = "ORDER_COMPLETED"

    customer: Customer
    amount: Minor
    currency: Currency


class OrderCancelled(OrderEvent):
    """The order is being cancelled for good: everyone undoes what they did and refuses what comes later.

    `attempt` is 1, and one more for each time an operator resumes a failed compensation.
    """

    TYPE = "ORDER_CANCELLED"

    reason: CancelReason
    customer: Customer
    attempt: Annotated[int, Field(ge=1, le=1000)] = 1
