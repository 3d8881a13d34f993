"""The rules of shipping: what an event does to an order's shipment. Called by `handlers`.

Nothing here does I/O. A rule gets the shipment it finds (or None) and gives the one to keep; the very
same object means that nothing changed. `value` is what the shipped goods were charged at, in minor units.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import blake2b

from orderflow_contracts.event import Event
from orderflow_shop.events import (
    InventoryUpdated,
    OrderCancelled,
    ShipmentCreated,
    ShipmentFailed,
    ShipmentFailure,
)

UNSERVICEABLE = frozenset({"XX"})
"""Countries the carrier refuses. XX is user-assigned in ISO 3166, so it is nobody's home."""


class State(StrEnum):
    """Where the goods are. CANCELLED is a tombstone: the cancellation came before the goods."""

    CREATED = "CREATED"
    FAILED = "FAILED"
    RECALLED = "RECALLED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class Shipment:
    """An order's shipment; `value` is zero and `tracking` None where there never was one."""

    order_id: str
    state: State
    tracking: str | None = None
    value: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What a rule decided: the shipment to keep and the events to publish."""

    row: Shipment
    events: tuple[Event, ...] = ()


def ship(row: Shipment | None, event: InventoryUpdated) -> Step:
    """Send the goods, unless the order was cancelled first or the carrier refuses the address."""
    order_id = event.order_id
    if row is not None:
        refused = row.state is State.CANCELLED
        return Step(row, (_failed(order_id, ShipmentFailure.CANCELLED),) if refused else ())
    if event.ship_to.country in UNSERVICEABLE:
        return Step(Shipment(order_id, State.FAILED), (_failed(order_id, ShipmentFailure.UNSERVICEABLE_ADDRESS),))
    value = sum(line.quantity * line.unit_price for line in event.lines)
    tracking = tracking_id(order_id)
    return Step(
        Shipment(order_id, State.CREATED, tracking, value),
        (ShipmentCreated(order_id=order_id, tracking=tracking),),
    )


def cancel(row: Shipment | None, event: OrderCancelled) -> Step:
    """Recall the goods if they are on their way; refuse them if they come later."""
    if row is None:
        return Step(Shipment(event.order_id, State.CANCELLED))
    return Step(replace(row, state=State.RECALLED) if row.state is State.CREATED else row)


def tracking_id(order_id: str) -> str:
    """Return the tracking number of an order: always the same, so that a repeated hand-over finds the first."""
    return "OF" + blake2b(order_id.encode(), digest_size=8).hexdigest().upper()


def _failed(order_id: str, reason: ShipmentFailure) -> ShipmentFailed:
    return ShipmentFailed(order_id=order_id, reason=reason)
