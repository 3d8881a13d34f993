"""The rules of stock: what an event does to an order's reservation and to the shelf. Called by `handlers`.

Nothing here does I/O. A rule gets the reservation it finds (or None) and gives the one to keep; the very
same object means that nothing changed. Events of different topics overtake each other, so every rule
accepts every state.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

from orderflow_contracts.event import Event
from orderflow_shop.events import (
    Address,
    InventoryUpdated,
    Line,
    OrderCancelled,
    OrderCreated,
    OutOfStock,
    PaymentFailed,
    PaymentFailure,
    PaymentProcessed,
    PaymentRefunded,
    StockReserved,
    StockRestored,
)

Lines = tuple[Line, ...]


class State(StrEnum):
    """Where an order's stock is. CANCELLED is a tombstone: the cancellation came before the order."""

    RESERVED = "RESERVED"
    SOLD = "SOLD"
    RESTORED = "RESTORED"
    OUT_OF_STOCK = "OUT_OF_STOCK"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class Reservation:
    """An order's claim on stock. `ship_to` is kept only until it is handed on or no longer needed."""

    order_id: str
    state: State
    lines: Lines = ()
    ship_to: Address | None = None
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What a rule decided: the reservation to keep and the events to publish."""

    row: Reservation | None
    events: tuple[Event, ...] = ()


class Place(IntEnum):
    """Where a unit of stock counts: every unit is in exactly one place."""

    ON_HAND = 0
    RESERVED = 1
    SOLD = 2


class Shelf:
    """The stock as one batch sees it: what was on hand, and the units moved between places since.

    `moved` gives, for each SKU, the change of [on hand, reserved, sold]; each sums to zero.
    An unknown SKU has none.
    """

    def __init__(self, on_hand: Mapping[str, int]) -> None:
        self._on_hand = on_hand
        self.moved: dict[str, list[int]] = {}

    def free(self, sku: str) -> int:
        """Return the units that can still be reserved."""
        moved = self.moved.get(sku)
        return self._on_hand.get(sku, 0) + (moved[Place.ON_HAND] if moved else 0)

    def move(self, lines: Iterable[Line], source: Place, target: Place) -> None:
        """Move the lines' units from one place to another."""
        here, there = int(source), int(target)
        for line in lines:
            moved = self.moved.setdefault(line.sku, [0, 0, 0])
            moved[here] -= line.quantity
            moved[there] += line.quantity


def reserve(row: Reservation | None, event: OrderCreated, shelf: Shelf) -> Step:
    """Hold all lines, or the part that there is when the order allows it; else nothing."""
    if row is not None:
        return Step(row)
    held, missing = _divide(event.lines, shelf)
    if missing and not (held and event.allow_partial):
        return Step(
            Reservation(event.order_id, State.OUT_OF_STOCK),
            (OutOfStock(order_id=event.order_id, missing=missing),),
        )
    shelf.move(held, Place.ON_HAND, Place.RESERVED)
    return Step(
        Reservation(event.order_id, State.RESERVED, held, event.ship_to),
        (_reserved(event, held, partial=bool(missing)),),
    )


def sell(row: Reservation | None, event: PaymentProcessed, shelf: Shelf) -> Step:
    """Take held stock off the shelf for good, unless the order was cancelled meanwhile."""
    if row is None or row.state is not State.RESERVED or row.cancelled or row.ship_to is None:
        return Step(row)
    shelf.move(row.lines, Place.RESERVED, Place.SOLD)
    sold = replace(row, state=State.SOLD, ship_to=None)
    return Step(sold, (InventoryUpdated(order_id=event.order_id, lines=row.lines, ship_to=row.ship_to),))


def release(row: Reservation | None, event: PaymentFailed, shelf: Shelf) -> Step:
    """Put held stock back when nothing was captured; a refused refund moves no stock."""
    if row is None or event.reason is PaymentFailure.REFUND_REJECTED:
        return Step(row)
    if row.state in (State.RESERVED, State.RESTORED):
        return _restore(row, shelf)
    return Step(row)


def cancel(row: Reservation | None, event: OrderCancelled, shelf: Shelf) -> Step:
    """Refuse what comes later. Stock goes back only after the money, when its refund or failure is known."""
    if row is None:
        return Step(Reservation(event.order_id, State.CANCELLED))
    if row.state is State.RESERVED and not row.cancelled:
        return Step(replace(row, cancelled=True, ship_to=None))
    return Step(row)


def restock(row: Reservation | None, event: PaymentRefunded, shelf: Shelf) -> Step:
    """Put back what is held or sold; asked again (a resumed cancellation), answer again with no lines."""
    return _restore(row or Reservation(event.order_id, State.CANCELLED), shelf)


_HELD_IN = {State.RESERVED: Place.RESERVED, State.SOLD: Place.SOLD}


def _restore(row: Reservation, shelf: Shelf) -> Step:
    place = _HELD_IN.get(row.state)
    if place is None:
        return Step(row, (StockRestored(order_id=row.order_id, lines=()),))
    shelf.move(row.lines, place, Place.ON_HAND)
    restored = replace(row, state=State.RESTORED, ship_to=None)
    return Step(restored, (StockRestored(order_id=row.order_id, lines=row.lines),))


def _divide(lines: Lines, shelf: Shelf) -> tuple[Lines, Lines]:
    """Split lines into what the shelf has and what it lacks; lines of the same SKU share its stock."""
    free: dict[str, int] = {}
    held, missing = [], []
    for line in lines:
        left = free[line.sku] if line.sku in free else shelf.free(line.sku)
        part = min(left, line.quantity)
        free[line.sku] = left - part
        if part == line.quantity:
            held.append(line)
            continue
        if part > 0:
            held.append(line.model_copy(update={"quantity": part}))
        missing.append(line.model_copy(update={"quantity": line.quantity - part}))
    return tuple(held), tuple(missing)


def _reserved(event: OrderCreated, held: Lines, *, partial: bool) -> StockReserved:
    return StockReserved(
        order_id=event.order_id,
        lines=held,
        amount=sum(line.quantity * line.unit_price for line in held),
        currency=event.currency,
        payment=event.payment,
        partial=partial,
    )
