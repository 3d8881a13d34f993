"""The rules of stock, driven directly."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderflow_contracts.event import Event
from orderflow_inventory.domain import (
    Place,
    Reservation,
    Shelf,
    State,
    Step,
    cancel,
    release,
    reserve,
    restock,
    sell,
)
from orderflow_shop.events import (
    Address,
    CancelReason,
    Customer,
    InventoryUpdated,
    Line,
    OrderCancelled,
    OrderCreated,
    OutOfStock,
    PaymentFailed,
    PaymentFailure,
    PaymentMethod,
    PaymentProcessed,
    PaymentRefunded,
    StockReserved,
    StockRestored,
)

GOOD = PaymentMethod.model_validate({"token": "tok_ok"})
HOME = Address(name="Ada", street="1 Row", city="Ulm", postcode="89073", country="DE")
ADA = Customer(id="ada", email="ada@example.org", name="Ada")


def line(sku: str, quantity: int, price: int = 100) -> Line:
    """Make an order line."""
    return Line(sku=sku, quantity=quantity, unit_price=price)


def created(*lines: Line, partial: bool = False, order: str = "o1") -> OrderCreated:
    """Make an order."""
    return OrderCreated(
        order_id=order,
        customer=ADA,
        lines=lines,
        currency="EUR",
        payment=GOOD,
        ship_to=HOME,
        allow_partial=partial,
    )


def cancelled(order: str = "o1") -> OrderCancelled:
    """Make a cancellation."""
    return OrderCancelled(order_id=order, reason=CancelReason.CUSTOMER, customer=ADA)


def paid(order: str = "o1") -> PaymentProcessed:
    """Make a capture."""
    return PaymentProcessed(order_id=order, amount=100, currency="EUR", reference="pay_1")


def failed(reason: PaymentFailure, order: str = "o1") -> PaymentFailed:
    """Make a payment failure."""
    return PaymentFailed(order_id=order, reason=reason)


def refunded(order: str = "o1") -> PaymentRefunded:
    """Make a refund."""
    return PaymentRefunded(order_id=order, amount=100, currency="EUR")


RULES: dict[type[Event], Callable[..., Step]] = {
    OrderCreated: reserve,
    PaymentProcessed: sell,
    PaymentFailed: release,
    PaymentRefunded: restock,
    OrderCancelled: cancel,
}


@dataclass
class Warehouse:
    """All reservations and one shelf, in memory."""

    shelf: Shelf
    rows: dict[str, Reservation] = field(default_factory=dict)
    published: list[Event] = field(default_factory=list)

    def handle(self, *events: Event) -> list[Event]:
        """Apply the rule of each event and give what the last one published."""
        said: list[Event] = []
        for event in events:
            step = RULES[type(event)](self.rows.get(event.key), event, self.shelf)
            if step.row is not None:
                self.rows[event.key] = step.row
            said = list(step.events)
            self.published += said
        return said

    def state(self, order: str = "o1") -> State:
        """Give an order's state."""
        return self.rows[order].state


@pytest.fixture
def warehouse() -> Warehouse:
    """Ten A and five B on hand."""
    return Warehouse(Shelf({"A": 10, "B": 5}))


def test_all_lines_are_reserved_and_charged(warehouse: Warehouse) -> None:
    """Whole orders hold every line, and the amount is their sum."""
    (event,) = warehouse.handle(created(line("A", 3), line("B", 5, 20)))
    assert isinstance(event, StockReserved)
    assert (event.amount, event.partial, len(event.lines)) == (400, False, 2)
    assert (warehouse.shelf.free("A"), warehouse.shelf.free("B")) == (7, 0)


@pytest.mark.parametrize("lines", [[line("A", 11)], [line("A", 6), line("A", 5)], [line("A", 1), line("X", 1)]])
def test_a_shortage_holds_nothing(warehouse: Warehouse, lines: list[Line]) -> None:
    """One missing unit refuses the whole order, lines of one SKU counted together, an unknown SKU as none."""
    (event,) = warehouse.handle(created(*lines))
    assert isinstance(event, OutOfStock)
    assert sum(missing.quantity for missing in event.missing) == 1
    assert not warehouse.shelf.moved
    assert warehouse.state() is State.OUT_OF_STOCK


def test_a_partial_order_takes_what_there_is(warehouse: Warehouse) -> None:
    """A permitted partial delivery holds whole lines and parts of lines, and charges only these."""
    (event,) = warehouse.handle(created(line("A", 2), line("B", 9, 10), line("X", 1), partial=True))
    assert isinstance(event, StockReserved)
    assert event.partial
    assert [(held.sku, held.quantity) for held in event.lines] == [("A", 2), ("B", 5)]
    assert event.amount == 250


def test_a_partial_order_without_any_stock_is_refused(warehouse: Warehouse) -> None:
    """Partial delivery of nothing is out of stock."""
    (event,) = warehouse.handle(created(line("X", 2), partial=True))
    assert isinstance(event, OutOfStock)


def test_orders_of_one_batch_share_the_shelf_in_their_order(warehouse: Warehouse) -> None:
    """What the first order took, the second no longer finds."""
    warehouse.handle(created(line("B", 4), order="o1"), created(line("B", 2), order="o2"))
    assert (warehouse.state("o1"), warehouse.state("o2")) == (State.RESERVED, State.OUT_OF_STOCK)


def test_a_paid_order_is_sold_and_its_address_forgotten(warehouse: Warehouse) -> None:
    """A capture hands lines and address on, and keeps no personal data."""
    (event,) = warehouse.handle(created(line("A", 2)), paid())
    assert isinstance(event, InventoryUpdated)
    assert event.ship_to == HOME
    assert warehouse.rows["o1"].ship_to is None
    assert warehouse.shelf.moved["A"] == [-2, 0, 2]


@pytest.mark.parametrize("reason", [PaymentFailure.DECLINED, PaymentFailure.CANCELLED])
def test_a_failed_payment_restores_the_stock(warehouse: Warehouse, reason: PaymentFailure) -> None:
    """Without a capture the held lines go back."""
    (event,) = warehouse.handle(created(line("A", 2)), failed(reason))
    assert isinstance(event, StockRestored)
    assert event.lines == (line("A", 2),)
    assert warehouse.shelf.moved["A"] == [0, 0, 0]


def test_a_refused_refund_moves_no_stock(warehouse: Warehouse) -> None:
    """Sold goods stay sold while the money is not given back."""
    assert warehouse.handle(created(line("A", 2)), paid(), failed(PaymentFailure.REFUND_REJECTED)) == []
    assert warehouse.state() is State.SOLD


def test_a_cancelled_reservation_is_not_sold_and_waits_for_the_refund(warehouse: Warehouse) -> None:
    """A capture that comes after the cancellation sells nothing; the refund puts the stock back."""
    assert warehouse.handle(created(line("A", 2)), cancelled(), paid()) == []
    assert warehouse.shelf.moved["A"] == [-2, 2, 0]
    (event,) = warehouse.handle(refunded())
    assert isinstance(event, StockRestored)
    assert warehouse.shelf.free("A") == 10


def test_sold_stock_comes_back_with_the_refund(warehouse: Warehouse) -> None:
    """A cancelled sale returns to the shelf."""
    warehouse.handle(created(line("A", 2)), paid(), cancelled(), refunded())
    assert warehouse.state() is State.RESTORED
    assert warehouse.shelf.moved["A"] == [0, 0, 0]


@pytest.mark.parametrize("early", [cancelled(), refunded()])
def test_an_order_that_comes_after_its_end_reserves_nothing(warehouse: Warehouse, early: Event) -> None:
    """A cancellation or refund that overtakes the order leaves a tombstone that refuses it silently."""
    warehouse.handle(early)
    assert warehouse.handle(created(line("A", 2))) == []
    assert warehouse.state() is State.CANCELLED
    assert not warehouse.shelf.moved


def test_a_refund_that_comes_first_is_answered_with_nothing_restored(warehouse: Warehouse) -> None:
    """The order learns that no stock is owed, even though inventory never saw it."""
    assert warehouse.handle(refunded()) == [StockRestored(order_id="o1", lines=())]


def test_a_resumed_cancellation_is_answered_again_but_restores_once(warehouse: Warehouse) -> None:
    """The second refund event is answered without lines, and the stock does not grow."""
    warehouse.handle(created(line("A", 2)), paid(), cancelled(), refunded())
    assert warehouse.handle(refunded()) == [StockRestored(order_id="o1", lines=())]
    assert warehouse.shelf.free("A") == 10


def test_a_capture_that_comes_after_its_refund_sells_nothing(warehouse: Warehouse) -> None:
    """Events of two topics may be swapped: restored stock is not sold."""
    assert warehouse.handle(created(line("A", 2)), refunded(), paid()) == []
    assert warehouse.state() is State.RESTORED


ORDERS = st.sampled_from(["o1", "o2", "o3"])
LINES = st.lists(st.builds(line, st.sampled_from("ABX"), st.integers(1, 7)), min_size=1, max_size=4)
EVENTS = st.one_of(
    st.builds(
        lambda lines, partial, order: created(*lines, partial=partial, order=order),
        LINES,
        st.booleans(),
        ORDERS,
    ),
    st.builds(paid, ORDERS),
    st.builds(failed, st.sampled_from(PaymentFailure), ORDERS),
    st.builds(refunded, ORDERS),
    st.builds(cancelled, ORDERS),
)


@given(st.lists(EVENTS, max_size=30))
def test_units_are_conserved_whatever_happens_in_whatever_order(events: list[Event]) -> None:
    """On hand, reserved and sold sum to what there was, none is negative, as reservations say."""
    warehouse = Warehouse(Shelf({"A": 10, "B": 5}))
    for event in events:
        warehouse.handle(event)
        for moved in warehouse.shelf.moved.values():
            assert sum(moved) == 0
            assert min(moved[Place.RESERVED], moved[Place.SOLD]) >= 0
        assert min(warehouse.shelf.free(sku) for sku in "ABX") >= 0
        for place, state in ((Place.RESERVED, State.RESERVED), (Place.SOLD, State.SOLD)):
            claimed = sum(x.quantity for row in warehouse.rows.values() if row.state is state for x in row.lines)
            assert claimed == sum(moved[place] for moved in warehouse.shelf.moved.values())
    given_back = [event.order_id for event in warehouse.published if isinstance(event, StockRestored) and event.lines]
    assert len(given_back) == len(set(given_back))
