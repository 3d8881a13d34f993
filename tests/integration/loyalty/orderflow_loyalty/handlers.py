"""The loyalty service's one handler, in the form for a single event."""

from collections.abc import Iterable

from orderflow_loyalty import domain, store
from orderflow_runtime import Event, Received, Service, Transaction, each
from orderflow_shop.events import OrderCompleted


def loyalty_service() -> Service:
    """Give the service."""
    return Service(
        name="loyalty",
        handlers={OrderCompleted: each(grant)},
    )


async def grant(completed: Received[OrderCompleted], tx: Transaction) -> Iterable[Event]:
    """Grant the order's points."""
    event = completed.event
    await store.grant(tx, event.order_id, event.customer.id, domain.points(event))
    return ()
