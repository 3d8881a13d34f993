"""Inventory's handlers on a real Postgres: their SQL, their locks and their migration."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import asyncpg
import pytest

from orderflow_contracts.event import Event
from orderflow_inventory.handlers import HANDLERS as INVENTORY
from orderflow_shop.events import (
    Address,
    CancelReason,
    Customer,
    InventoryUpdated,
    Line,
    OrderCancelled,
    OrderCreated,
    OutOfStock,
    PaymentMethod,
    PaymentProcessed,
    PaymentRefunded,
    StockReserved,
    StockRestored,
)
from support.runtime.batch import Batch, connect, handle, make_schema, received

ADA = Customer(id="ada", email="ada@example.org", name="Ada")
HOME = Address(name="Ada ✓ 'x'", street="1 Row", city="Ulm", postcode="89073", country="DE")
METHOD = PaymentMethod.model_validate({"token": "tok_ok"})


@pytest.fixture
async def inventory(database: str) -> AsyncIterator[asyncpg.Connection]:
    """Inventory's connection to a database with its tables."""
    await make_schema(database, "inventory")
    connection = await connect(database, "inventory")
    yield connection
    await connection.close()


def order(number: int, *lines: tuple[str, int], partial: bool = False) -> OrderCreated:
    """Make an order of (SKU, quantity) lines."""
    return OrderCreated(
        order_id=f"o{number}",
        customer=ADA,
        lines=tuple(Line(sku=sku, quantity=quantity, unit_price=10) for sku, quantity in lines),
        currency="EUR",
        payment=METHOD,
        ship_to=HOME,
        allow_partial=partial,
    )


def paid(number: int) -> PaymentProcessed:
    """Make a capture."""
    return PaymentProcessed(order_id=f"o{number}", amount=10, currency="EUR", reference="pay_1")


def refunded(number: int) -> PaymentRefunded:
    """Make a refund."""
    return PaymentRefunded(order_id=f"o{number}", amount=10, currency="EUR")


def cancelled(number: int, attempt: int = 1) -> OrderCancelled:
    """Make a cancellation."""
    return OrderCancelled(order_id=f"o{number}", reason=CancelReason.CUSTOMER, customer=ADA, attempt=attempt)


async def stock(connection: asyncpg.Connection, sku: str) -> tuple[int, ...]:
    """Give what is on hand, reserved and sold of a SKU."""
    row = await connection.fetchrow("SELECT on_hand, reserved, sold FROM stock WHERE sku = $1", sku)
    return tuple(row)


async def test_a_batch_is_reserved_sold_and_restored(inventory: asyncpg.Connection) -> None:
    """Five hundred orders go through in sets, and the shelf is as before when all are refunded."""
    numbers = range(500)
    reserved = await handle(
        inventory, INVENTORY, *(order(n, (f"SKU-{n % 100 + 1:04}", 3), ("SKU-0001", 1)) for n in numbers)
    )
    assert sum(isinstance(event, StockReserved) for event in reserved) == 500
    assert await stock(inventory, "SKU-0001") == (1_000_000 - 515, 515, 0)
    sold = await handle(inventory, INVENTORY, *map(paid, numbers))
    assert all(isinstance(event, InventoryUpdated) and event.ship_to == HOME for event in sold)
    assert await stock(inventory, "SKU-0001") == (1_000_000 - 515, 0, 515)
    assert await inventory.fetchval("SELECT count(*) FROM reservation WHERE ship_to IS NOT NULL") == 0
    restored = await handle(inventory, INVENTORY, *map(refunded, numbers))
    assert sum(len(event.lines) for event in restored if isinstance(event, StockRestored)) == 1000
    assert await stock(inventory, "SKU-0001") == (1_000_000, 0, 0)


async def test_stock_that_is_not_there_is_not_reserved(inventory: asyncpg.Connection) -> None:
    """Unknown SKUs and used-up stock refuse an order, or its part when that is allowed."""
    await inventory.execute("UPDATE stock SET on_hand = 5, initial = 5 WHERE sku = 'SKU-0007'")
    events = await handle(
        inventory,
        INVENTORY,
        order(1, ("SKU-0007", 4)),
        order(2, ("SKU-0007", 2)),
        order(3, ("SKU-0007", 9), ("nothing", 1), partial=True),
        order(4, ("nothing", 1)),
    )
    assert [type(event) for event in events] == [StockReserved, OutOfStock, StockReserved, OutOfStock]
    assert await stock(inventory, "SKU-0007") == (0, 5, 0)


async def test_a_tombstone_refuses_a_late_order(inventory: asyncpg.Connection) -> None:
    """An order that comes after its cancellation is neither reserved nor answered."""
    await handle(inventory, INVENTORY, cancelled(1))
    assert await handle(inventory, INVENTORY, order(1, ("SKU-0001", 1))) == []
    assert await stock(inventory, "SKU-0001") == (1_000_000, 0, 0)


async def test_the_database_refuses_to_lose_units(inventory: asyncpg.Connection) -> None:
    """A statement that would make or lose a unit of stock fails."""
    with pytest.raises(asyncpg.CheckViolationError):
        await inventory.execute("UPDATE stock SET sold = sold + 1 WHERE sku = 'SKU-0001'")


async def test_two_instances_share_hot_stock_without_deadlock(database: str, inventory: asyncpg.Connection) -> None:
    """Two instances that reserve and sell the same few SKUs in one transaction never deadlock, and no unit is lost."""

    async def work(instance: int) -> None:
        random = Random(instance)
        connection = await connect(database, "inventory")
        for round_ in range(40):
            numbers = [instance * 100_000 + round_ * 10 + n for n in range(5)]
            async with connection.transaction():
                for chosen in (INVENTORY[OrderCreated], INVENTORY[PaymentProcessed]):
                    events = (
                        [order(n, (f"SKU-{random.randint(1, 9):04}", 1)) for n in numbers]
                        if chosen is INVENTORY[OrderCreated]
                        else [paid(n - 10) for n in numbers]
                    )
                    await chosen([received(event) for event in events], Batch(connection))
        await connection.close()

    await asyncio.gather(work(1), work(2), work(3))
    row = await inventory.fetchrow("SELECT sum(reserved) AS reserved, sum(sold) AS sold FROM stock")
    assert (row["reserved"], row["sold"]) == (3 * 5, 3 * 39 * 5)


@pytest.mark.parametrize("first", ["order", "cancellation"])
async def test_an_order_and_its_cancellation_at_two_instances_conflict(
    database: str, inventory: asyncpg.Connection, first: str
) -> None:
    """The slower one is run again after the faster has committed, and no reservation is overwritten by a tombstone."""
    events: list[Event] = [order(1, ("SKU-0001", 1)), cancelled(1)]
    faster, slower = events if first == "order" else reversed(events)
    other = await connect(database, "inventory")
    async with inventory.transaction():
        await INVENTORY[type(faster)]([received(faster)], Batch(inventory))
        waiting = asyncio.create_task(handle(other, INVENTORY, slower))
        await asyncio.sleep(0.2)
    with pytest.raises(asyncpg.SerializationError):  # to the runtime, a conflict
        await waiting
    await handle(other, INVENTORY, slower)
    await other.close()
    row = await inventory.fetchrow("SELECT state, cancelled FROM reservation")
    assert tuple(row) == (("RESERVED", True) if first == "order" else ("CANCELLED", False))
    assert (await stock(inventory, "SKU-0001"))[1] == (1 if first == "order" else 0)
