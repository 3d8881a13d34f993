"""The life of an order: one pure state machine, called by the handlers while they hold the order row's lock.

Events of different topics overtake each other, so each rule holds in every state: progress only moves
forward, and what a participant has undone is noted even before the order is cancelled.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any

from orderflow_contracts.event import Event
from orderflow_shop.events import (
    CancelReason,
    Customer,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OutOfStock,
    PaymentFailed,
    PaymentFailure,
    PaymentProcessed,
    PaymentRefunded,
    ShipmentCreated,
    ShipmentFailed,
    ShipmentFailure,
    StockReserved,
    StockRestored,
    total,
)


class State(StrEnum):
    """Where an order stands."""

    PENDING = "PENDING"
    RESERVED = "RESERVED"
    PAID = "PAID"
    SHIPPED = "SHIPPED"
    COMPLETED = "COMPLETED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    COMPENSATION_FAILED = "COMPENSATION_FAILED"


class Undo(StrEnum):
    """A compensation that a cancelled order still owes."""

    PAYMENT = "PAYMENT"
    STOCK = "STOCK"


class Timer(Enum):
    """What a step does to the order's deadline."""

    KEEP = "keep"
    SET = "set"
    STOP = "stop"


OPEN = (State.PENDING, State.RESERVED, State.PAID)
"""The states in which an order can still be cancelled, in the order it passes them."""
UNDOING = (State.CANCELLING, State.COMPENSATION_FAILED)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an order's history: what came or was decided, and the state after it."""

    at: datetime
    what: str
    state: State
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """An order's row. `amount` (minor units) is None until known; `news` is the history not yet stored; `trace` is
    the one it began in.
    """

    id: str
    customer: Customer
    currency: str
    amount: int | None
    state: State = State.PENDING
    undo: frozenset[Undo] = frozenset(Undo)
    reason: CancelReason | None = None
    attempt: int = 0
    news: tuple[Entry, ...] = ()
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What one decision comes to: the order after it, what to publish, what becomes of the deadline."""

    order: Order
    publish: tuple[Event, ...] = ()
    timer: Timer = Timer.KEEP


class OrderRefusedError(Exception):
    """A request that the order's state does not allow; `str()` says what would."""


def place(created: OrderCreated, at: datetime) -> Step:
    """Begin an order. Both compensations are registered now, before the steps that they undo."""
    amount = None if created.allow_partial else total(created.lines)
    order = Order(created.order_id, created.customer, created.currency, amount)
    return Step(_noted(order, at, OrderCreated.TYPE), (created,), Timer.SET)


def apply(order: Order, event: Event, at: datetime) -> Step:
    """Take in what another service says."""
    return _RULES[type(event)](order, event, at)


def cancel(order: Order, at: datetime) -> Step:
    """Cancel for the customer; a cancelled order stays as it is, one on its way raises `OrderRefusedError`."""
    if order.state in (State.SHIPPED, State.COMPLETED):
        raise OrderRefusedError(f"the order is {order.state} and can no longer be cancelled; return the goods")
    return _then_cancelled(Step(order), CancelReason.CUSTOMER, at)


def resume(order: Order, at: datetime) -> Step:
    """Try the compensations again that failed; any state but COMPENSATION_FAILED raises `OrderRefusedError`."""
    if order.state is not State.COMPENSATION_FAILED or order.reason is None:
        raise OrderRefusedError(f"the order is {order.state}; only a COMPENSATION_FAILED order can be resumed")
    return _asked_to_undo(order, order.reason, at)


def deadline(order: Order, at: datetime) -> Step:
    """Give up waiting: for progress, then for the compensations."""
    if order.state in OPEN:
        return _asked_to_undo(_noted(order, at, "DEADLINE_PASSED"), CancelReason.DEADLINE, at)
    if order.state is State.CANCELLING:
        return Step(_noted(order, at, "DEADLINE_PASSED", state=State.COMPENSATION_FAILED))
    return Step(order)


def _noted(order: Order, at: datetime, what: str, detail: str | None = None, **changes: Any) -> Order:
    entry = Entry(at, what, changes.get("state", order.state), detail)
    return replace(order, news=(*order.news, entry), **changes)


def _forward(state: State, to: State) -> State:
    return to if state in OPEN and OPEN.index(state) < OPEN.index(to) else state


def _stock_reserved(order: Order, event: StockReserved, at: datetime) -> Step:
    detail = "partial" if event.partial else None
    return _priced(order, at, event.TYPE, detail, event.amount, State.RESERVED)


def _payment_processed(order: Order, event: PaymentProcessed, at: datetime) -> Step:
    return _priced(order, at, event.TYPE, event.reference, event.amount, State.PAID)


def _priced(order: Order, at: datetime, what: str, detail: str | None, amount: int, to: State) -> Step:
    order = _noted(order, at, what, detail, amount=amount, state=_forward(order.state, to))
    return _completed(order, at) if order.state is State.SHIPPED else Step(order)


def _shipment_created(order: Order, event: ShipmentCreated, at: datetime) -> Step:
    if order.state not in OPEN:
        return Step(_noted(order, at, event.TYPE, event.tracking))
    return _completed(_noted(order, at, event.TYPE, event.tracking, state=State.SHIPPED), at)


def _completed(order: Order, at: datetime) -> Step:
    """Complete an order; a partial one whose shipment overtook its price stays SHIPPED until the price comes."""
    if order.amount is None:
        return Step(order, timer=Timer.STOP)
    completed = OrderCompleted(order_id=order.id, customer=order.customer, amount=order.amount, currency=order.currency)
    return Step(_noted(order, at, completed.TYPE, state=State.COMPLETED), (completed,), Timer.STOP)


def _out_of_stock(order: Order, event: OutOfStock, at: datetime) -> Step:
    cleared = _cleared(order, at, event.TYPE, None, Undo.STOCK, Undo.PAYMENT)
    return _then_cancelled(cleared, CancelReason.OUT_OF_STOCK, at)


def _payment_failed(order: Order, event: PaymentFailed, at: datetime) -> Step:
    if event.reason is PaymentFailure.REFUND_REJECTED:
        return _refund_rejected(order, event, at)
    cleared = _cleared(order, at, event.TYPE, event.reason, Undo.PAYMENT)
    if event.reason is PaymentFailure.CANCELLED:
        return cleared
    return _then_cancelled(cleared, CancelReason.PAYMENT_DECLINED, at)


def _refund_rejected(order: Order, event: PaymentFailed, at: datetime) -> Step:
    if order.state is not State.CANCELLING:
        return Step(_noted(order, at, event.TYPE, event.reason))
    return Step(_noted(order, at, event.TYPE, event.reason, state=State.COMPENSATION_FAILED), timer=Timer.STOP)


def _shipment_failed(order: Order, event: ShipmentFailed, at: datetime) -> Step:
    step = Step(_noted(order, at, event.TYPE, event.reason))
    if event.reason is ShipmentFailure.CANCELLED:
        return step
    return _then_cancelled(step, CancelReason.SHIPMENT_FAILED, at)


def _payment_refunded(order: Order, event: PaymentRefunded, at: datetime) -> Step:
    return _cleared(order, at, event.TYPE, None, Undo.PAYMENT)


def _stock_restored(order: Order, event: StockRestored, at: datetime) -> Step:
    return _cleared(order, at, event.TYPE, None, Undo.STOCK)


def _cleared(order: Order, at: datetime, what: str, detail: str | None, *done: Undo) -> Step:
    """Note what is undone, in whatever state; the last one ends a cancelled order, even past its deadline."""
    undo = order.undo.difference(done)
    if undo or order.state not in UNDOING:
        return Step(_noted(order, at, what, detail, undo=undo))
    return Step(_noted(order, at, what, detail, undo=undo, state=State.CANCELLED), timer=Timer.STOP)


def _then_cancelled(step: Step, reason: CancelReason, at: datetime) -> Step:
    """Decide once: only an open order is cancelled; for any other the step stays what it was."""
    return _asked_to_undo(step.order, reason, at) if step.order.state in OPEN else step


def _asked_to_undo(order: Order, reason: CancelReason, at: datetime) -> Step:
    attempt = order.attempt + 1
    state = State.CANCELLING if order.undo else State.CANCELLED
    order = _noted(order, at, OrderCancelled.TYPE, reason, state=state, reason=reason, attempt=attempt)
    event = OrderCancelled(order_id=order.id, reason=reason, customer=order.customer, attempt=attempt)
    return Step(order, (event,), Timer.SET if order.undo else Timer.STOP)


_RULES: Mapping[type[Event], Callable[[Order, Any, datetime], Step]] = {
    StockReserved: _stock_reserved,
    OutOfStock: _out_of_stock,
    PaymentProcessed: _payment_processed,
    PaymentFailed: _payment_failed,
    ShipmentCreated: _shipment_created,
    ShipmentFailed: _shipment_failed,
    PaymentRefunded: _payment_refunded,
    StockRestored: _stock_restored,
}

SUBSCRIBES: tuple[type[Event], ...] = tuple(_RULES)
