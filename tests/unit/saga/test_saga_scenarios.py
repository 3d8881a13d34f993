"""Each scenario of the reference flow by name, at memory speed; each race in both orders."""

import pytest

from orderflow_order.domain import OrderRefusedError, State
from orderflow_shop.events import (
    CancelReason,
    InventoryUpdated,
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
    StockReserved,
    StockRestored,
)
from support.flow.saga import Plan, World
from support.flow.saga_oracles import check

TWO_APPLES_AND_A_PEAR = (("apple", 2, 300), ("pear", 1, 100))


def ended(world, state, reason=None):
    """Let everything happen that is due, and judge the end."""
    check(world.settle())
    assert world.order_row().state is state
    assert world.order_row().reason is reason
    assert world.reserved() == 0


def next_of(world, service, event):
    """Give the event that this service will take next from this topic."""
    return world.queues[service, event.TYPE, "o1"][0][1]


def test_happy_path_completes_and_sells():
    """An order that nothing stops is charged in full, sold and shipped."""
    world = World.of(Plan())
    ended(world, State.COMPLETED)
    assert world.stock["apple"] == (8, 0, 2)
    assert world.provider["o1"].captured == world.order_row().amount == 600


def test_out_of_stock_order_is_cancelled_at_once():
    """Without stock nothing is held or charged, and nothing is owed from the moment of the decision."""
    world = World.of(Plan(lines=(("apple", 11, 300),)))
    world.deliver("inventory", OrderCreated)
    world.deliver("order", OutOfStock)
    assert world.order_row().state is State.CANCELLED
    ended(world, State.CANCELLED, CancelReason.OUT_OF_STOCK)
    assert "o1" not in world.provider


def test_one_missing_line_cancels_an_order_that_wants_all():
    """An order that does not allow parts is cancelled whole, and the line that was there stays on the shelf."""
    world = World.of(Plan(lines=TWO_APPLES_AND_A_PEAR))
    ended(world, State.CANCELLED, CancelReason.OUT_OF_STOCK)
    assert world.stock["apple"] == (10, 0, 0)


def test_partial_order_is_charged_for_what_is_shipped():
    """An order that allows parts is charged and shipped only what was there."""
    world = World.of(Plan(lines=(("apple", 12, 300), ("pear", 1, 100)), allow_partial=True))
    ended(world, State.COMPLETED)
    assert world.order_row().amount == world.provider["o1"].captured == 10 * 300
    assert world.stock["apple"] == (0, 0, 10)


def test_partial_order_with_nothing_there_is_cancelled():
    """A part of nothing is no order."""
    ended(World.of(Plan(allow_partial=True), stock={}), State.CANCELLED, CancelReason.OUT_OF_STOCK)


def test_lines_of_one_article_share_its_stock():
    """Two lines of the same article cannot both have its last unit."""
    lines = (("apple", 1, 300), ("apple", 1, 300))
    ended(World.of(Plan(lines=lines), stock={"apple": 1}), State.CANCELLED, CancelReason.OUT_OF_STOCK)


@pytest.mark.parametrize("first", [PaymentFailed, OrderCancelled])
def test_declined_payment_releases_the_stock(first):
    """A declined order's stock goes back, whether inventory hears first of the payment or of the cancellation."""
    world = World.of(Plan(declined=True)).settle(
        hold={("inventory", "PAYMENT_FAILED"), ("inventory", "ORDER_CANCELLED")}
    )
    world.deliver("inventory", first)
    ended(world, State.CANCELLED, CancelReason.PAYMENT_DECLINED)
    assert world.stock["apple"] == (10, 0, 0)


@pytest.mark.parametrize("first", [PaymentFailed, StockRestored])
def test_stock_restored_may_overtake_the_decline(first):
    """The order ends the same whether it hears first that payment failed or that stock is back."""
    world = World.of(Plan(declined=True)).settle(hold={("order", "PAYMENT_FAILED"), ("order", "STOCK_RESTORED")})
    world.deliver("order", first)
    ended(world, State.CANCELLED, CancelReason.PAYMENT_DECLINED)


@pytest.mark.parametrize("declined", [False, True])
def test_unknown_payment_is_not_compensated_before_it_is_known(declined):
    """While nobody knows whether money was taken, even a passed deadline gives nothing back; then it is put right."""
    world = World.of(Plan(declined=declined)).settle(hold={("answer",)})
    world.do_now("deadline")
    world.settle(hold={("answer",)})
    assert world.order_row().state is State.CANCELLING
    assert (world.published(PaymentRefunded), world.published(PaymentFailed)) == (0, 0)
    assert world.reserved() == 2
    ended(world, State.CANCELLED, CancelReason.DEADLINE)
    assert world.provider["o1"].refunded == (0 if declined else 600)


@pytest.mark.parametrize("declined", [False, True])
def test_unknown_payment_that_becomes_known_in_time_goes_on(declined):
    """An answer that comes late but before the deadline is taken as if it had come at once."""
    world = World.of(Plan(declined=declined)).settle(hold={("answer",)})
    assert world.order_row().state is State.RESERVED
    if declined:
        ended(world, State.CANCELLED, CancelReason.PAYMENT_DECLINED)
    else:
        ended(world, State.COMPLETED)


def test_shipping_that_fails_after_capture_refunds_restocks_and_cancels():
    """An address that cannot be served gives the money back first, then the goods, and the order is cancelled."""
    world = World.of(Plan(country="XX")).settle(hold={("inventory", "PAYMENT_REFUNDED")})
    assert world.provider["o1"] == (600, 600, 0)
    assert world.stock["apple"] == (8, 0, 2)
    ended(world, State.CANCELLED, CancelReason.SHIPMENT_FAILED)
    assert world.stock["apple"] == (10, 0, 0)


@pytest.mark.parametrize("first", ["answer", "cancel"])
def test_customer_cancels_while_the_payment_runs(first):
    """A cancel that meets a running capture pays back, whether payment hears of it before or after the answer."""
    world = World.of(Plan()).settle(hold={("answer",)})
    world.do_now("cancel")
    if first == "cancel":
        world.settle(hold={("answer",)})
    else:
        world.settle(hold={("payment", "ORDER_CANCELLED")})
        assert world.published(PaymentProcessed) == 1
    ended(world, State.CANCELLED, CancelReason.CUSTOMER)
    assert world.provider["o1"] == (600, 600, 0)
    assert world.published(PaymentProcessed) == (first == "answer")


@pytest.mark.parametrize("first", [OrderCreated, OrderCancelled])
def test_cancel_races_the_order_to_inventory(first):
    """A cancellation that overtakes its order leaves no stock held, nor does one that follows it."""
    world = World.of(Plan())
    world.do_now("cancel")
    world.deliver("inventory", first)
    ended(world, State.CANCELLED, CancelReason.CUSTOMER)
    assert world.stock["apple"] == (10, 0, 0)
    assert world.published(StockReserved) == (first is OrderCreated)


@pytest.mark.parametrize("first", [StockReserved, OrderCancelled])
def test_cancel_races_the_reservation_to_payment(first):
    """A cancellation that overtakes the reservation leaves nothing charged; one that follows pays back."""
    world = World.of(Plan())
    world.deliver("inventory", OrderCreated)
    world.do_now("cancel")
    world.deliver("payment", first)
    ended(world, State.CANCELLED, CancelReason.CUSTOMER)
    assert ("o1" in world.provider) == (first is StockReserved)


@pytest.mark.parametrize("first", [PaymentProcessed, OrderCancelled, PaymentRefunded])
def test_payment_cancel_and_refund_race_to_inventory(first):
    """Whichever of the three inventory hears first, the goods end on the shelf."""
    world = World.of(Plan()).settle(hold={("inventory", "PAYMENT_PROCESSED")})
    world.do_now("cancel")
    world.settle(hold={("inventory", event.TYPE) for event in (PaymentProcessed, OrderCancelled, PaymentRefunded)})
    world.deliver("inventory", first)
    ended(world, State.CANCELLED, CancelReason.CUSTOMER)
    assert world.stock["apple"] == (10, 0, 0)
    assert world.published(InventoryUpdated) == (first is PaymentProcessed)


@pytest.mark.parametrize("first", [InventoryUpdated, OrderCancelled])
def test_cancel_races_the_goods_to_shipping(first):
    """A shipment that was made before the cancellation came is recalled; one that comes after is refused."""
    world = World.of(Plan()).settle(hold={("shipping", "INVENTORY_UPDATED")})
    world.do_now("cancel")
    world.settle(hold={("shipping",)})
    world.deliver("shipping", first)
    ended(world, State.CANCELLED, CancelReason.CUSTOMER)
    assert world.published(ShipmentCreated) == (first is InventoryUpdated)
    assert world.published(ShipmentFailed) == (first is OrderCancelled)


@pytest.mark.parametrize("first", ["shipment", "cancel"])
def test_cancel_races_the_shipment_to_the_order(first):
    """Exactly one of them wins: the order is completed and the cancel refused, or cancelled and the goods recalled."""
    world = World.of(Plan()).settle(hold={("order", "SHIPMENT_CREATED")})
    if first == "shipment":
        world.deliver("order", ShipmentCreated)
        with pytest.raises(OrderRefusedError, match="return the goods"):
            world.do_now("cancel")
        ended(world, State.COMPLETED)
    else:
        world.do_now("cancel")
        ended(world, State.CANCELLED, CancelReason.CUSTOMER)


@pytest.mark.parametrize("first", ["shipment", "deadline"])
def test_deadline_races_the_shipment_to_the_order(first):
    """An order whose shipment is known is never cancelled by its deadline; one whose is not, is."""
    world = World.of(Plan()).settle(hold={("order", "SHIPMENT_CREATED")})
    if first == "shipment":
        world.deliver("order", ShipmentCreated)
        assert not world.timers
        world.do_now("deadline")
        ended(world, State.COMPLETED)
    else:
        world.do_now("deadline")
        ended(world, State.CANCELLED, CancelReason.DEADLINE)


def test_second_cancel_changes_nothing():
    """A customer who cancels twice gets one cancellation."""
    world = World.of(Plan())
    world.do_now("cancel")
    world.do_now("cancel")
    assert world.published(OrderCancelled) == 1
    ended(world, State.CANCELLED, CancelReason.CUSTOMER)


def test_refused_refund_fails_the_compensation_and_can_be_resumed():
    """A refund that the provider refuses stops the order visibly; resumed, it goes through."""
    world = World.of(Plan(country="XX", refusals=1)).settle()
    check(world)
    assert world.order_row().state is State.COMPENSATION_FAILED
    assert not world.timers
    world.do_now("resume")
    ended(world, State.CANCELLED, CancelReason.SHIPMENT_FAILED)
    assert world.order_row().attempt == 2
    assert world.provider["o1"] == (600, 600, 1)


@pytest.mark.parametrize("first", [PaymentFailed, OrderCancelled])
def test_refusal_races_the_resumed_cancellation(first):
    """A refusal that comes after the operator resumed, or before payment hears of it, leaves nothing stuck."""
    world = World.of(Plan(country="XX", refusals=1)).settle(hold={("order", "PAYMENT_FAILED")})
    world.do_now("deadline")
    world.do_now("resume")
    if first is PaymentFailed:
        world.deliver("order", PaymentFailed)
    else:
        world.settle(hold={("order", "PAYMENT_FAILED")})
    ended(world, State.CANCELLED, CancelReason.SHIPMENT_FAILED)


def test_only_a_failed_compensation_can_be_resumed():
    """Resuming an order that is on its way is refused, and says why."""
    with pytest.raises(OrderRefusedError, match="PENDING"):
        World.of(Plan()).do_now("resume")


@pytest.mark.parametrize("silent", ["inventory", "payment", "shipping"])
def test_participant_that_is_silent_past_the_deadline_is_waited_for_no_longer(silent):
    """The order is cancelled at its deadline, alerted at the second, and ends by itself when the silent one is back."""
    world = World.of(Plan()).settle(hold={(silent,)})
    world.do_now("deadline")
    world.settle(hold={(silent,)})
    assert world.order_row().reason is CancelReason.DEADLINE
    if world.timers:
        world.do_now("deadline")
        assert world.order_row().state is State.COMPENSATION_FAILED
    ended(world, State.CANCELLED, CancelReason.DEADLINE)


def test_duplicates_change_nothing():
    """Every event delivered twice, as a crash between publish and its note makes them, gives the same end."""
    world = World.of(Plan())
    while due := list(world.due()):
        if due[0].what == "deliver":
            world.repeat(due[0])
            world.do(due[0])
        world.do(due[0])
    ended(world, State.COMPLETED)


@pytest.mark.parametrize("partial", [False, True])
def test_shipment_overtakes_everything_else(partial):
    """An order that hears of its shipment first is completed as soon as its price is known; the rest is history."""
    late = {("order", "STOCK_RESERVED"), ("order", "PAYMENT_PROCESSED")}
    world = World.of(Plan(allow_partial=partial)).settle(hold=late)
    assert world.order_row().state is (State.SHIPPED if partial else State.COMPLETED)
    assert not world.timers
    ended(world, State.COMPLETED)
    assert world.published(OrderCompleted) == 1


def test_old_version_of_an_event_starts_the_same_saga():
    """An ORDER_CREATED of version 1 is lifted and reserved like a new one."""
    new = Plan().created()
    data = new.model_dump_json(by_alias=True, exclude={"currency", "allow_partial"})
    old = OrderCreated.decode(data.encode(), version=1)
    world = World.of(Plan())
    del world.queues["inventory", "ORDER_CREATED", "o1"]
    world.publish(old)
    ended(world, State.COMPLETED)


@pytest.mark.parametrize(
    "poisoned", [(StockReserved, "payment"), (PaymentProcessed, "inventory"), (InventoryUpdated, "shipping")]
)
@pytest.mark.parametrize("late", [False, True])
def test_redriven_dead_letter_ends_its_order(poisoned, late):
    """An event that was lost to the dead letters and redriven completes its order, or ends its cancellation."""
    event, service = poisoned
    world = World.of(Plan()).settle(hold={(service, event.TYPE)})
    if late:
        world.do_now("deadline")
        world.settle(hold={(service, event.TYPE)})
        ended(world, State.CANCELLED, CancelReason.DEADLINE)
    else:
        ended(world, State.COMPLETED)


def test_notification_that_is_down_never_compensates():
    """An order completes while nobody tells the customer, who is told of everything once afterwards."""
    world = World.of(Plan()).settle(hold={("notification",)})
    assert world.order_row().state is State.COMPLETED
    assert not world.told
    ended(world, State.COMPLETED)
    assert sorted(kind for _, kind in world.told) == [
        "INVENTORY_UPDATED",
        "ORDER_COMPLETED",
        "ORDER_CREATED",
        "PAYMENT_PROCESSED",
        "SHIPMENT_CREATED",
        "STOCK_RESERVED",
    ]


def test_refused_refund_is_not_told_to_the_customer():
    """PAYMENT_FAILED for a refused refund is our affair; the cancellation is told once though it was asked twice."""
    world = World.of(Plan(country="XX", refusals=1)).settle()
    world.do_now("resume")
    ended(world, State.CANCELLED, CancelReason.SHIPMENT_FAILED)
    assert world.published(PaymentFailed) == 1
    kinds = [kind for _, kind in world.told]
    assert "PAYMENT_FAILED" not in kinds
    assert kinds.count("ORDER_CANCELLED") == 1


def test_cancelled_capture_is_not_called_a_decline():
    """A capture that turns out declined after the customer cancelled is reported as cancelled."""
    world = World.of(Plan(declined=True)).settle(hold={("answer",)})
    world.do_now("cancel")
    world.settle(hold={("answer",)})
    world.settle(hold={("order", "PAYMENT_FAILED")})
    assert next_of(world, "order", PaymentFailed).reason is PaymentFailure.CANCELLED
    ended(world, State.CANCELLED, CancelReason.CUSTOMER)
