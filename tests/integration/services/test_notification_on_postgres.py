"""The notification service's handlers on a real Postgres: once an order and kind, to a contact that may come late."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from orderflow_contracts.event import Event
from orderflow_notification.handlers import notification_service
from orderflow_notification.senders import LogSink
from orderflow_notification.smtp_sender import SmtpSender
from orderflow_runtime.service import CallOutcome, Service
from orderflow_shop.events import (
    Address,
    CancelReason,
    Customer,
    Line,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    PaymentFailed,
    PaymentFailure,
    PaymentMethod,
    ShipmentCreated,
)
from support.runtime.batch import Batch, connect, make_schema, received

ADA = Customer(id="ada", email="ada@example.org", name="Ada")
IN_BULK = notification_service(LogSink())
ONE_BY_ONE = notification_service(SmtpSender("smtp://mail.invalid", "shop@example.org"))


@pytest.fixture
async def notification(database: str) -> AsyncIterator[asyncpg.Connection]:
    """The notification service's connection to a database with its tables."""
    await make_schema(database, "notification")
    connection = await connect(database, "notification")
    yield connection
    await connection.close()


def created(number: int) -> OrderCreated:
    """Make an order."""
    return OrderCreated(
        order_id=f"o{number}",
        customer=ADA,
        lines=(Line(sku="apple", quantity=1, unit_price=1),),
        currency="EUR",
        payment=PaymentMethod.model_validate({"token": "tok"}),
        ship_to=Address(name="Ada", street="1 Row", city="Ulm", postcode="89073", country="DE"),
        allow_partial=False,
    )


def shipped(number: int) -> ShipmentCreated:
    """Make a shipment."""
    return ShipmentCreated(order_id=f"o{number}", tracking="T1")


def cancelled(number: int, attempt: int) -> OrderCancelled:
    """Make a cancellation."""
    return OrderCancelled(order_id=f"o{number}", reason=CancelReason.CUSTOMER, customer=ADA, attempt=attempt)


async def take(connection: asyncpg.Connection, *events: Event, service: Service = IN_BULK) -> list[list[str]]:
    """Handle events of one type in one transaction; give the ids of the messages of each call."""
    tx = Batch(connection)
    async with connection.transaction():
        assert list(await service.handlers[type(events[0])]([received(e) for e in events], tx)) == []
    for _, key, request, call_id in tx.calls:
        assert call_id == request["messages"][0]["id"]
        assert call_id.startswith(f"{key}:")
        assert {message["to"] for message in request["messages"]} == {"ada@example.org"}
    return [[message["id"] for message in request["messages"]] for _, _, request, _ in tx.calls]


async def test_log_takes_a_batch_in_one_call(notification: asyncpg.Connection) -> None:
    """Five hundred notifications to the log cost one call."""
    calls = await take(notification, *(created(n) for n in range(500)))
    assert [len(ids) for ids in calls] == [500]
    assert len(set(calls[0])) == 500


async def test_mail_takes_one_message_a_call(notification: asyncpg.Connection) -> None:
    """Each mail has a call, and so an idempotency key, of its own."""
    calls = await take(notification, created(1), created(2), service=ONE_BY_ONE)
    assert calls == [["o1:ORDER_CREATED"], ["o2:ORDER_CREATED"]]


async def test_each_kind_is_told_once_an_order(notification: asyncpg.Connection) -> None:
    """A cancellation that is asked for again is not told again; another kind of the same order is."""
    assert await take(notification, cancelled(1, 1)) == [["o1:ORDER_CANCELLED"]]
    assert await take(notification, cancelled(1, 2), cancelled(2, 1)) == [["o2:ORDER_CANCELLED"]]
    done = OrderCompleted(order_id="o1", customer=ADA, amount=1, currency="EUR")
    assert await take(notification, done) == [["o1:ORDER_COMPLETED"]]


async def test_shipment_is_told_to_the_contact_of_its_order(notification: asyncpg.Connection) -> None:
    """An event without a customer goes to whom the order named."""
    await take(notification, created(1))
    assert await take(notification, shipped(1)) == [["o1:SHIPMENT_CREATED"]]


async def test_shipment_that_overtakes_its_order_waits_for_the_contact(notification: asyncpg.Connection) -> None:
    """A notice without a contact is kept, and sent once when the order comes."""
    assert await take(notification, shipped(1), shipped(2)) == []
    assert await take(notification, created(1)) == [["o1:SHIPMENT_CREATED"], ["o1:ORDER_CREATED"]]
    assert await notification.fetchval("SELECT count(*) FROM waiting") == 1
    assert await take(notification, shipped(1)) == []


@pytest.mark.parametrize("first", ["shipment", "order"])
async def test_shipment_and_order_in_two_transactions_meet(
    notification: asyncpg.Connection, database: str, first: str
) -> None:
    """Two transactions that cannot see each other still tell the shipment exactly once, in both orders."""
    other = await connect(database, "notification")
    events: list[Event] = [shipped(1), created(1)] if first == "shipment" else [created(1), shipped(1)]
    one, two = Batch(notification), Batch(other)
    try:
        begun = notification.transaction()
        await begun.start()
        await IN_BULK.handlers[type(events[0])]([received(events[0])], one)
        second = asyncio.create_task(_in_transaction(other, two, events[1]))
        done, _ = await asyncio.wait({second}, timeout=0.2)
        assert not done, "the second waits for the first"
        await begun.commit()
        await second
    finally:
        await other.close()
    told = [message["id"] for tx in (one, two) for _, _, request, _ in tx.calls for message in request["messages"]]
    assert sorted(told) == ["o1:ORDER_CREATED", "o1:SHIPMENT_CREATED"]


async def _in_transaction(connection: asyncpg.Connection, tx: Batch, event: Event) -> None:
    async with connection.transaction():
        await IN_BULK.handlers[type(event)]([received(event)], tx)


@pytest.mark.parametrize("reason", list(PaymentFailure))
async def test_only_a_declined_payment_is_told(notification: asyncpg.Connection, reason: PaymentFailure) -> None:
    """A refused refund or a capture that was called off is our own affair."""
    await take(notification, created(1))
    told = await take(notification, PaymentFailed(order_id="o1", reason=reason))
    assert told == ([["o1:PAYMENT_FAILED"]] if reason is PaymentFailure.DECLINED else [])


@pytest.mark.parametrize("first", [0, 1])
async def test_a_declined_payment_is_told_once(notification: asyncpg.Connection, first: int) -> None:
    """The failed payment and the cancellation it leads to make one message, whichever comes first."""
    await take(notification, created(1))
    events: list[Event] = [
        PaymentFailed(order_id="o1", reason=PaymentFailure.DECLINED),
        OrderCancelled(order_id="o1", reason=CancelReason.PAYMENT_DECLINED, customer=ADA),
    ]
    assert await take(notification, events[first]) == [["o1:PAYMENT_FAILED"]]
    assert await take(notification, events[1 - first]) == []


async def test_refusal_for_an_order_whose_id_has_colons_is_noted(notification: asyncpg.Connection) -> None:
    """The order and the kind are told apart by the last colon."""
    await take(notification, created(1).model_copy(update={"order_id": "eu:1"}))
    outcome = CallOutcome("send", "eu:1", {}, {"refused": {"eu:1:ORDER_CREATED": "550 no such user"}})
    await IN_BULK.calls["send"].handler([outcome], Batch(notification))
    assert await notification.fetchval("SELECT refusal FROM notifications") == "550 no such user"


async def test_refusal_for_good_is_noted(notification: asyncpg.Connection) -> None:
    """What the mail server will never take is kept with its reason; what it took needs no note."""
    await take(notification, created(1), created(2))
    outcomes = [
        CallOutcome("send", "o1", {}, {"refused": {"o1:ORDER_CREATED": "550 no such user"}}),
        CallOutcome("send", "o2", {}, {"refused": {}}),
    ]
    assert list(await IN_BULK.calls["send"].handler(outcomes, Batch(notification))) == []
    rows = await notification.fetch("SELECT order_id, refusal FROM notifications ORDER BY 1")
    assert [tuple(row) for row in rows] == [("o1", "550 no such user"), ("o2", None)]
