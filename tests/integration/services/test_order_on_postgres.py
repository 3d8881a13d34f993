"""The order service's handlers on a real Postgres: their SQL, their locks and their migration."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from orderflow_contracts.event import Event
from orderflow_order import store
from orderflow_order.commands import Cancel, NotPlaced, Outcome, Place, Resume, Standing
from orderflow_order.domain import State
from orderflow_order.handlers import DEADLINE, Handlers, UnknownOrderError
from orderflow_runtime.command import Reply, Submitted
from orderflow_runtime.service import Fired
from orderflow_shop.events import (
    Address,
    Customer,
    Line,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    PaymentFailed,
    PaymentFailure,
    PaymentMethod,
    PaymentProcessed,
    PaymentRefunded,
    ShipmentCreated,
    StockReserved,
    StockRestored,
)
from support.runtime.batch import Batch, connect, make_schema, received

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
HANDLERS = Handlers(timedelta(minutes=15), lambda: NOW)
ADA = Customer(id="ada", email="ada@example.org", name="Ada 'x' ✓ \\ {}")
HOME = Address(name="Ada", street='1 "Row"', city="Ulm", postcode="89073", country="DE")


class Clocked(Batch):
    """A batch that keeps its timers: by key, when it is due, or None where it was taken back."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        super().__init__(connection)
        self.timers: dict[str, timedelta | None] = {}

    def set_timer(self, name: str, key: str, after: timedelta, payload: Mapping[str, Any] | None = None) -> None:
        """Keep a timer."""
        assert name == DEADLINE
        self.timers[key] = after

    def cancel_timer(self, name: str, key: str) -> None:
        """Keep that a timer goes."""
        self.timers[key] = None


@pytest.fixture
async def orders(database: str) -> AsyncIterator[asyncpg.Connection]:
    """The order service's connection to a database with its tables."""
    await make_schema(database, "order")
    connection = await connect(database, "order")
    yield connection
    await connection.close()


def created(number: int, *, partial: bool = False, price: int = 300) -> OrderCreated:
    """Make an order."""
    return OrderCreated(
        order_id=f"o{number:04}",
        customer=ADA,
        lines=(Line(sku="apple", quantity=2, unit_price=price),),
        currency="EUR",
        payment=PaymentMethod.model_validate({"token": "tok"}),
        ship_to=HOME,
        allow_partial=partial,
    )


def reserved(number: int) -> StockReserved:
    """Make a reservation of an order."""
    order = created(number)
    return StockReserved(
        order_id=order.order_id, lines=order.lines, amount=600, currency="EUR", payment=order.payment, partial=False
    )


async def place(connection: asyncpg.Connection, *orders: OrderCreated) -> tuple[list[Reply[Any]], Clocked]:
    """Place orders in one transaction."""
    tx = Clocked(connection)
    async with connection.transaction():
        commands = [Submitted(Place(order)) for order in orders]
        return await HANDLERS.place(commands, tx), tx


async def take(connection: asyncpg.Connection, *events: Event) -> tuple[list[Event], Clocked]:
    """Handle events of one type in one transaction."""
    tx = Clocked(connection)
    async with connection.transaction():
        return await HANDLERS.receive([received(event) for event in events], tx), tx


async def row(connection: asyncpg.Connection, number: int) -> Any:
    """Give an order as the API reads it."""
    return await connection.fetchrow(store.ORDER, f"o{number:04}")


async def timeline(connection: asyncpg.Connection, number: int) -> list[tuple[str, str]]:
    """Give what happened to an order, with the state after it."""
    found = await connection.fetchrow(store.TIMELINE, f"o{number:04}")
    return [(entry["what"], entry["state"]) for entry in json.loads(found["history"])]


async def test_five_hundred_orders_go_through_in_sets(orders: asyncpg.Connection) -> None:
    """A full group is placed, moved on and completed; each order keeps its own history and customer."""
    numbers = range(500)
    replies, tx = await place(orders, *(created(n, price=n) for n in reversed(numbers)))
    assert all(reply.value.outcome is Outcome.CREATED for reply in replies)
    assert [reply.publish[0].key for reply in replies] == [reply.value.id for reply in replies]
    assert set(tx.timers.values()) == {timedelta(minutes=15)}
    await take(orders, *map(reserved, numbers))
    paid = (PaymentProcessed(order_id=f"o{n:04}", amount=600, currency="EUR", reference="r") for n in numbers)
    await take(orders, *paid)
    shipped = (ShipmentCreated(order_id=f"o{n:04}", tracking=f"t{n}") for n in numbers)
    published, tx = await take(orders, *shipped)
    assert all(isinstance(event, OrderCompleted) and event.customer == ADA for event in published)
    assert (len(published), set(tx.timers.values())) == (500, {None})
    assert await timeline(orders, 7) == [
        ("ORDER_CREATED", "PENDING"),
        ("STOCK_RESERVED", "RESERVED"),
        ("PAYMENT_PROCESSED", "PAID"),
        ("SHIPMENT_CREATED", "SHIPPED"),
        ("ORDER_COMPLETED", "COMPLETED"),
    ]
    assert (await row(orders, 7))["placed_at"] == NOW


async def test_cancellation_is_kept_until_all_is_undone(orders: asyncpg.Connection) -> None:
    """What is owed, why, and how often it was asked for survive between transactions."""
    await place(orders, created(1))
    replies = await HANDLERS.cancel([Submitted(Cancel("o0001")), Submitted(Cancel("o0002"))], Clocked(orders))
    assert replies[0].value == Standing("o0001", State.CANCELLING, replies[0].value.reason)
    assert isinstance(replies[0].publish[0], OrderCancelled)
    assert replies[1].value == NotPlaced()
    found = await row(orders, 1)
    assert (found["state"], found["reason"], found["attempt"], sorted(found["undo"])) == (
        "CANCELLING",
        "CUSTOMER",
        1,
        ["PAYMENT", "STOCK"],
    )
    await take(orders, PaymentRefunded(order_id="o0001", amount=0, currency="EUR"))
    assert (await row(orders, 1))["undo"] == ["STOCK"]
    _, tx = await take(orders, StockRestored(order_id="o0001", lines=()))
    found = await row(orders, 1)
    assert (found["state"], found["undo"], tx.timers) == ("CANCELLED", [], {"o0001": None})


async def test_failed_compensation_is_resumed(orders: asyncpg.Connection) -> None:
    """A refused refund and a passed deadline both stop the order, and a resume asks again with the next attempt."""
    await place(orders, *(created(n) for n in (1, 2)))
    await HANDLERS.expire([Fired(DEADLINE, f"o000{n}", {}) for n in (1, 2)], Clocked(orders))
    await take(orders, PaymentFailed(order_id="o0001", reason=PaymentFailure.REFUND_REJECTED))
    await HANDLERS.expire([Fired(DEADLINE, "o0002", {}), Fired(DEADLINE, "gone", {})], Clocked(orders))
    assert [(await row(orders, n))["state"] for n in (1, 2)] == ["COMPENSATION_FAILED"] * 2
    replies = await HANDLERS.resume([Submitted(Resume(f"o000{n}")) for n in (1, 2)], Clocked(orders))
    assert [getattr(reply.publish[0], "attempt", None) for reply in replies] == [2, 2]


async def test_partial_order_without_a_price_is_kept_so(orders: asyncpg.Connection) -> None:
    """An amount that is not yet known is null, and no zero."""
    await place(orders, created(1, partial=True))
    await take(orders, ShipmentCreated(order_id="o0001", tracking="t"))
    found = await row(orders, 1)
    assert (found["amount"], found["state"]) == (None, "SHIPPED")


async def test_repeated_key_is_answered_from_what_is_stored(orders: asyncpg.Connection) -> None:
    """In one group a new order, a repeat and a reused key are told apart; only the new one is published."""
    await place(orders, created(1), created(2))
    await take(orders, reserved(1))
    replies, tx = await place(orders, created(3), created(1), created(2, price=1))
    assert [getattr(reply.value, "outcome", reply.value) for reply in replies] == [
        Outcome.CREATED,
        Outcome.REPEATED,
        Outcome.KEY_REUSED,
    ]
    assert replies[1].value.state is State.RESERVED
    assert [len(reply.publish) for reply in replies] == [1, 0, 0]
    assert set(tx.timers) == {"o0003"}


async def test_two_transactions_place_the_same_order_once(orders: asyncpg.Connection, database: str) -> None:
    """Of two that place the same orders at once, in opposite order, each order is created by exactly one."""
    other = await connect(database, "order")
    wanted = [created(n) for n in range(50)]
    try:
        one, two = await asyncio.gather(place(orders, *wanted), place(other, *reversed(wanted)))
    finally:
        await other.close()
    outcomes = [reply.value.outcome for reply in (*one[0], *two[0])]
    assert outcomes.count(Outcome.CREATED) == outcomes.count(Outcome.REPEATED) == 50


async def test_event_of_an_unknown_order_is_refused(orders: asyncpg.Connection) -> None:
    """An event of an order that was never placed names it and changes nothing of the others in its batch."""
    await place(orders, created(1))
    with pytest.raises(UnknownOrderError, match="o0009"):
        await take(orders, reserved(1), reserved(9))
    assert (await row(orders, 1))["state"] == "PENDING"


async def test_group_of_repeats_alone_stores_nothing(orders: asyncpg.Connection) -> None:
    """A group of which nothing is new inserts no order and sets no deadline."""
    await place(orders, created(1))
    replies, tx = await place(orders, created(1))
    assert [reply.value.outcome for reply in replies] == [Outcome.REPEATED]
    assert not tx.timers


async def test_updates_stay_on_their_page(orders: asyncpg.Connection) -> None:
    """Moving a batch of orders on touches no index: most updates are heap-only."""
    numbers = range(500)
    await place(orders, *(created(n) for n in numbers))
    await take(orders, *map(reserved, numbers))
    await take(
        orders, *(PaymentProcessed(order_id=f"o{n:04}", amount=1, currency="EUR", reference="r") for n in numbers)
    )
    await orders.execute("SELECT pg_stat_force_next_flush()")
    found = await orders.fetchrow("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'orders'")
    assert found["n_tup_upd"] == 1000
    assert found["n_tup_hot_upd"] > 600
