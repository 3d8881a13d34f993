"""The rules of money: what an event or the provider's answer does to a payment. Called by `handlers`.

Nothing here does I/O: a call to the provider is a value in the step. A rule gets the payment it finds (or
None) and gives the one to keep; the very same object means that nothing changed. Amounts are minor units.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from orderflow_contracts.event import Event
from orderflow_shop.events import (
    OrderCancelled,
    PaymentFailed,
    PaymentFailure,
    PaymentProcessed,
    PaymentRefunded,
    StockReserved,
)

CAPTURE = "capture"
"""Takes the money; its result is {"outcome": "captured", "reference": …} or {"outcome": "declined"}."""
REFUND = "refund"
"""Gives it back; its result is {"outcome": "refunded"} or {"outcome": "rejected"}."""

NO_CURRENCY = "XXX"
"""ISO 4217's code for no currency: of the zero given back where nothing was ever asked for."""


class State(StrEnum):
    """Where the money is. PENDING and REFUNDING wait for an outcome.

    CANCELLED is a tombstone: the cancellation came before anything was asked for.
    """

    PENDING = "PENDING"
    CAPTURED = "CAPTURED"
    FAILED = "FAILED"
    REFUNDING = "REFUNDING"
    REFUNDED = "REFUNDED"
    REFUND_FAILED = "REFUND_FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class Payment:
    """An order's payment. `token` is kept only until it is used.

    `cancelled` says that nothing may be kept; `attempt` is that of the last cancellation, 0 before any.
    """

    order_id: str
    state: State
    amount: int = 0
    currency: str = NO_CURRENCY
    token: str | None = None
    captured: int = 0
    refunded: int = 0
    cancelled: bool = False
    attempt: int = 0
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class ProviderCall:
    """A call to make after commit."""

    kind: str
    request: dict[str, Any]
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class Step:
    """What a rule decided: the payment to keep, the events to publish, the call to make."""

    row: Payment | None
    events: tuple[Event, ...] = ()
    call: ProviderCall | None = None


def charge(row: Payment | None, event: StockReserved) -> Step:
    """Ask for the money, unless the order was cancelled first."""
    if row is not None:
        return Step(row)
    token = event.payment.token
    pending = Payment(event.order_id, State.PENDING, event.amount, event.currency, token)
    request = {"amount": event.amount, "currency": event.currency, "token": token}
    return Step(pending, (), ProviderCall(CAPTURE, request, f"{event.order_id}:capture"))


def captured(row: Payment | None, result: Mapping[str, Any]) -> Step:
    """Take the outcome of a capture; what was captured for a cancelled order goes straight back."""
    if row is None or row.state is not State.PENDING:
        return Step(row)
    if result["outcome"] != "captured":
        failed = replace(row, state=State.FAILED, token=None)
        return Step(failed, (_failed(failed),))
    reference = result["reference"]
    paid = replace(row, state=State.CAPTURED, token=None, captured=row.amount, reference=reference)
    return _refund(paid, paid.attempt) if paid.cancelled else Step(paid, (_processed(paid, reference),))


def cancel(row: Payment | None, event: OrderCancelled) -> Step:
    """Give back what was captured. An unknown outcome is waited for, never compensated.

    A resumed cancellation (attempt above the last) tries a refused refund again and repeats any other answer.
    """
    if row is None:
        row = Payment(event.order_id, State.CANCELLED, cancelled=True, attempt=event.attempt)
        return Step(row, (_refunded(row),))
    if event.attempt <= row.attempt:
        return Step(row)
    if row.state in (State.CAPTURED, State.REFUND_FAILED):
        return _refund(row, event.attempt)
    cancelled = row.cancelled or row.state is State.PENDING
    return Step(replace(row, cancelled=cancelled, attempt=event.attempt), _answer(row, event.attempt))


def refunded(row: Payment | None, result: Mapping[str, Any]) -> Step:
    """Take the outcome of a refund."""
    if row is None or row.state is not State.REFUNDING:
        return Step(row)
    if result["outcome"] == "refunded":
        returned = replace(row, state=State.REFUNDED, refunded=row.captured)
        return Step(returned, (_refunded(returned),))
    return Step(
        replace(row, state=State.REFUND_FAILED),
        (PaymentFailed(order_id=row.order_id, reason=PaymentFailure.REFUND_REJECTED),),
    )


def _refund(row: Payment, attempt: int) -> Step:
    refunding = replace(row, state=State.REFUNDING, cancelled=True, attempt=attempt)
    request = {"reference": row.reference, "amount": row.captured}
    return Step(refunding, (), ProviderCall(REFUND, request, f"{row.order_id}:refund:{attempt}"))


def _answer(row: Payment, attempt: int) -> tuple[Event, ...]:
    """Return the answer that ended this payment; a plain failure is repeated only to a resumed cancellation."""
    if row.state in (State.REFUNDED, State.CANCELLED):
        return (_refunded(row),)
    return (_failed(row),) if row.state is State.FAILED and attempt > 1 else ()


def _processed(row: Payment, reference: str) -> PaymentProcessed:
    return PaymentProcessed(order_id=row.order_id, amount=row.captured, currency=row.currency, reference=reference)


def _failed(row: Payment) -> PaymentFailed:
    reason = PaymentFailure.CANCELLED if row.cancelled else PaymentFailure.DECLINED
    return PaymentFailed(order_id=row.order_id, reason=reason)


def _refunded(row: Payment) -> PaymentRefunded:
    return PaymentRefunded(order_id=row.order_id, amount=row.refunded, currency=row.currency)
