"""Payment's and shipping's handlers on a real Postgres: their SQL and their migrations."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

import asyncpg
import pytest

from orderflow_contracts.event import Event
from orderflow_payment.handlers import payment_service
from orderflow_runtime.service import CallOutcome, Service
from orderflow_shipping.handlers import HANDLERS as SHIPPING
from orderflow_shop.events import (
    Address,
    CancelReason,
    Customer,
    InventoryUpdated,
    Line,
    OrderCancelled,
    PaymentMethod,
    PaymentRefunded,
    ShipmentCreated,
    StockReserved,
)
from support.runtime.batch import Batch, connect, handle, make_schema, received

ADA = Customer(id="ada", email="ada@example.org", name="Ada")
HOME = Address(name="Ada ✓ 'x'", street="1 Row", city="Ulm", postcode="89073", country="DE")
METHOD = PaymentMethod.model_validate({"token": "tok_ok"})


class Unused:
    """A port that no handler may touch inside a transaction."""

    async def perform(self, request: Mapping[str, Any], idempotency_key: str) -> dict[str, Any]:
        """Refuse."""
        raise NotImplementedError

    async def lookup(self, idempotency_key: str) -> dict[str, Any] | None:
        """Refuse."""
        raise NotImplementedError


@pytest.fixture
async def payment(database: str) -> AsyncIterator[asyncpg.Connection]:
    """Payment's connection to a database with its tables."""
    await make_schema(database, "payment")
    connection = await connect(database, "payment")
    yield connection
    await connection.close()


@pytest.fixture
async def shipping(database: str) -> AsyncIterator[asyncpg.Connection]:
    """Shipping's connection to a database with its tables."""
    await make_schema(database, "shipping")
    connection = await connect(database, "shipping")
    yield connection
    await connection.close()


def cancelled(number: int, attempt: int = 1) -> OrderCancelled:
    """Make a cancellation."""
    return OrderCancelled(order_id=f"o{number}", reason=CancelReason.CUSTOMER, customer=ADA, attempt=attempt)


def reserved(number: int) -> StockReserved:
    """Make a reservation to charge."""
    return StockReserved(
        order_id=f"o{number}",
        lines=(Line(sku="A", quantity=1, unit_price=10),),
        amount=10,
        currency="EUR",
        payment=METHOD,
        partial=False,
    )


class Till:
    """Payment's handlers on a connection, with the calls they asked for."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        unused = Unused()
        self._connection = connection
        self._service: Service = payment_service(unused, unused)

    async def take(self, *events: Event) -> tuple[list[Event], list[Any]]:
        """Handle events of one type; give what is published and called."""
        return await self._run(self._service.handlers[type(events[0])], [received(event) for event in events])

    async def answer(self, kind: str, calls: Iterable[Any], result: dict[str, Any]) -> tuple[list[Event], list[Any]]:
        """Give all calls the same result; give what is published and called."""
        outcomes = [CallOutcome(kind, key, request, result) for _, key, request, _ in calls]
        return await self._run(self._service.calls[kind].handler, outcomes)

    async def _run(self, handler: Any, items: Sequence[Any]) -> tuple[list[Event], list[Any]]:
        batch = Batch(self._connection)
        async with self._connection.transaction():
            return list(await handler(items, batch)), batch.calls


async def test_a_batch_is_charged_and_refunded(payment: asyncpg.Connection) -> None:
    """Five hundred payments are captured and given back in sets, each by calls with keys of their own."""
    till, numbers = Till(payment), range(500)
    published, captures = await till.take(*map(reserved, numbers))
    assert (published, len({key for *_, key in captures})) == ([], 500)
    published, _ = await till.answer("capture", captures, {"outcome": "captured", "reference": "pay_1"})
    assert len(published) == 500
    assert await payment.fetchval("SELECT count(*) FROM payment WHERE token IS NOT NULL") == 0
    published, refunds = await till.take(*map(cancelled, numbers))
    assert (published, refunds[0][2]) == ([], {"reference": "pay_1", "amount": 10})
    published, _ = await till.answer("refund", refunds, {"outcome": "refunded", "reference": "re_1"})
    assert all(isinstance(event, PaymentRefunded) and event.amount == 10 for event in published)
    row = await payment.fetchrow("SELECT sum(captured) AS captured, sum(refunded) AS refunded FROM payment")
    assert tuple(row) == (5000, 5000)


async def test_a_payment_that_comes_after_its_cancellation_is_not_charged(payment: asyncpg.Connection) -> None:
    """The tombstone is stored, and the reservation asks for no money."""
    till = Till(payment)
    assert (await till.take(cancelled(1)))[0] == [PaymentRefunded(order_id="o1", amount=0, currency="XXX")]
    assert await till.take(reserved(1)) == ([], [])


async def test_the_database_refuses_to_give_back_what_was_not_taken(payment: asyncpg.Connection) -> None:
    """A refund beyond the capture fails."""
    await Till(payment).take(reserved(1))
    with pytest.raises(asyncpg.CheckViolationError):
        await payment.execute("UPDATE payment SET refunded = 10")


async def test_a_batch_is_shipped_and_recalled(shipping: asyncpg.Connection) -> None:
    """Five hundred shipments keep their value, and the recalled ones are marked in place."""
    lines = (Line(sku="A", quantity=2, unit_price=10),)
    goods = [InventoryUpdated(order_id=f"o{n}", lines=lines, ship_to=HOME) for n in range(500)]
    published = await handle(shipping, SHIPPING, *goods)
    assert len({event.tracking for event in published if isinstance(event, ShipmentCreated)}) == 500
    assert await handle(shipping, SHIPPING, *(cancelled(n) for n in range(400, 600))) == []
    rows = await shipping.fetch("SELECT state, count(*) AS n, sum(value) AS value FROM shipment GROUP BY state")
    assert {row["state"]: (row["n"], row["value"]) for row in rows} == {
        "CREATED": (400, 8000),
        "RECALLED": (100, 2000),
        "CANCELLED": (100, 0),
    }
