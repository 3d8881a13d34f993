"""The oracles of the saga: what must hold of orders, stock and money whenever nothing is due any more."""

from orderflow_inventory import domain as inventory
from orderflow_order import domain as order
from orderflow_shipping import domain as shipping
from orderflow_shop.events import (
    CancelReason,
    InventoryUpdated,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    PaymentFailed,
    PaymentProcessed,
    ShipmentCreated,
    StockReserved,
)
from support.flow.saga import Account, World


def check(world: World) -> None:
    """The oracles of a world at rest: raise AssertionError where money, stock or an order does not add up."""
    for key in world.plans:
        _check_order(world, key)
        _check_money(world, key)
        _check_told(world, key)
    _check_stock(world)


def _check_stock(world: World) -> None:
    rows = [row for (service, _), row in world.rows.items() if service == "inventory"]
    for sku, (on_hand, reserved, sold) in world.stock.items():
        assert on_hand + reserved + sold == world.initial.get(sku, 0), sku
        assert on_hand >= 0, sku
        assert reserved == _units(rows, inventory.State.RESERVED, sku), sku
        assert sold == _units(rows, inventory.State.SOLD, sku), sku


def _units(rows: list[inventory.Reservation], state: inventory.State, sku: str) -> int:
    return sum(line.quantity for row in rows if row.state is state for line in row.lines if line.sku == sku)


def _check_order(world: World, key: str) -> None:
    found, stock, goods = (world.rows.get((service, key)) for service in ("order", "inventory", "shipping"))
    account = world.provider.get(key, Account())
    assert found.state in (order.State.COMPLETED, order.State.CANCELLED, order.State.COMPENSATION_FAILED)
    assert key not in world.timers, "nothing is left to wait for"
    shipped = goods is not None and goods.state is shipping.State.CREATED
    sold = stock is not None and stock.state is inventory.State.SOLD
    reserved = stock is not None and stock.state is inventory.State.RESERVED
    assert shipped == (found.state is order.State.COMPLETED), "only a completed order's goods are on their way"
    assert world.published(OrderCompleted, key) == shipped
    assert world.published(OrderCancelled, key) == found.attempt
    assert (found.attempt == 0) == (found.state is order.State.COMPLETED), "one decision"
    if found.state is order.State.COMPENSATION_FAILED:
        assert account.refused, "only a refused refund fails a compensation for good"
    else:
        assert not reserved
        assert sold == shipped
    assert (not found.undo) == (found.state is order.State.CANCELLED)


def _check_money(world: World, key: str) -> None:
    found, paid, goods = (world.rows.get((service, key)) for service in ("order", "payment", "shipping"))
    account = world.provider.get(key, Account())
    shipped = goods.value if goods and goods.state is shipping.State.CREATED else 0
    if paid is not None:
        assert (paid.captured, paid.refunded) == (account.captured, account.refunded), "payment knows the truth"
    if found.state is not order.State.COMPENSATION_FAILED:
        assert account.captured == shipped + account.refunded
    if shipped:
        assert found.amount == shipped


def _check_told(world: World, key: str) -> None:
    kinds = [kind for told, kind in world.told if told == key]
    assert len(kinds) == len(set(kinds))
    if world.queues:
        return  # somebody is kept from listening
    assert OrderCreated.TYPE in kinds
    found = world.order_row(key)
    completed, declined = found.state is order.State.COMPLETED, found.reason is CancelReason.PAYMENT_DECLINED
    ends = (OrderCompleted.TYPE in kinds, OrderCancelled.TYPE in kinds)
    assert ends == (completed, not (completed or declined))
    # an order that its customer cancels may be declined all the same, and he hears of both
    assert declined <= (PaymentFailed.TYPE in kinds) <= world.plans[key].declined
    if completed:
        assert {StockReserved.TYPE, PaymentProcessed.TYPE, InventoryUpdated.TYPE, ShipmentCreated.TYPE} < set(kinds)
