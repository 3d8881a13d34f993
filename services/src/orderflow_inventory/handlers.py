"""What inventory does with each event: load, decide by `domain`, save, publish. Called by the runtime."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from orderflow_inventory import store
from orderflow_inventory.domain import Reservation, Shelf, Step, cancel, release, reserve, restock, sell
from orderflow_runtime import Event, EventHandler, Received, Transaction
from orderflow_shop.events import (
    InventoryUpdated,
    OrderCancelled,
    OrderCreated,
    OutOfStock,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    StockReserved,
    StockRestored,
)

E = TypeVar("E", bound=Event)
Rule = Callable[[Reservation | None, E, Shelf], Step]
Rows = Mapping[str, Reservation]


async def on_order_created(events: Sequence[Received[OrderCreated]], tx: Transaction) -> Iterable[Event]:
    """Reserve stock for new orders, in the order of their arrival."""
    rows = await store.load(tx, [event.key for event in events])
    shelf = await store.lock_stock(tx, {line.sku for event in events for line in event.event.lines})
    return await _decide(tx, rows, shelf, reserve, events)


def _moving(rule: Rule[E]) -> EventHandler:
    """Make a handler of a rule that needs no look at the shelf: it only moves what an order already has."""

    async def handle(events: Sequence[Received[E]], tx: Transaction) -> Iterable[Event]:
        rows = await store.load(tx, [event.key for event in events])
        return await _decide(tx, rows, Shelf({}), rule, events)

    return handle


async def _decide(
    tx: Transaction, rows: Rows, shelf: Shelf, rule: Rule[E], events: Sequence[Received[E]]
) -> list[Event]:
    steps = [rule(rows.get(event.key), event.event, shelf) for event in events]
    changed = [step.row for step in steps if step.row and step.row is not rows.get(step.row.order_id)]
    await store.insert(tx, [row for row in changed if row.order_id not in rows])
    await store.update(tx, [row for row in changed if row.order_id in rows])
    await store.move_stock(tx, shelf)
    return [event for step in steps for event in step.events]


HANDLERS: Mapping[type[Event], EventHandler] = {
    OrderCreated: on_order_created,
    PaymentProcessed: _moving(sell),
    PaymentFailed: _moving(release),
    PaymentRefunded: _moving(restock),
    OrderCancelled: _moving(cancel),
}

PUBLISHES: frozenset[type[Event]] = frozenset({StockReserved, OutOfStock, InventoryUpdated, StockRestored})
