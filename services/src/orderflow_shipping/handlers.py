"""What shipping does with each event: load, decide by `domain`, save, publish. Called by the runtime."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from orderflow_runtime import Event, EventHandler, Received, Transaction
from orderflow_shipping import store
from orderflow_shipping.domain import Shipment, Step, cancel, ship
from orderflow_shop.events import InventoryUpdated, OrderCancelled, ShipmentCreated, ShipmentFailed

E = TypeVar("E", bound=Event)


def _deciding(rule: Callable[[Shipment | None, E], Step]) -> EventHandler:
    """Make a handler of a rule."""

    async def handle(events: Sequence[Received[E]], tx: Transaction) -> Iterable[Event]:
        rows = await store.load(tx, [event.key for event in events])
        steps = [rule(rows.get(event.key), event.event) for event in events]
        changed = [step.row for step in steps if step.row is not rows.get(step.row.order_id)]
        await store.insert(tx, [row for row in changed if row.order_id not in rows])
        await store.update(tx, [row for row in changed if row.order_id in rows])
        return [event for step in steps for event in step.events]

    return handle


HANDLERS: Mapping[type[Event], EventHandler] = {
    InventoryUpdated: _deciding(ship),
    OrderCancelled: _deciding(cancel),
}

PUBLISHES: frozenset[type[Event]] = frozenset({ShipmentCreated, ShipmentFailed})
