"""Every way an order can go without anybody's help, on real Kafka and Postgres: HTTP in, HTTP and the database out."""

import pytest

from support.flow.fleet import Fleet
from support.flow.oracles import judge, until_at_rest
from support.flow.orders import Shop, mixture, order


async def test_an_order_is_reserved_paid_shipped_and_completed(shop: Shop) -> None:
    """The happy path, in the order of its steps as the timeline tells it."""
    order = await shop.place(lines=[("SKU-0001", 2, 1000), ("SKU-0002", 1, 500)])
    assert (await shop.until(order))["state"] == "COMPLETED"
    assert (await shop.show(order))["amount"] == 2500
    told = await shop.timeline(order)
    assert sorted(told) == [
        "ORDER_COMPLETED",
        "ORDER_CREATED",
        "PAYMENT_PROCESSED",
        "SHIPMENT_CREATED",
        "STOCK_RESERVED",
    ]
    assert told[0] == "ORDER_CREATED"


async def test_the_same_key_again_is_the_same_order(shop: Shop) -> None:
    """A client that repeats a request, before and after the order's end, gets its first order."""
    first = await shop.place(key="again")
    assert await shop.place(key="again") == first
    await shop.until(first)
    assert await shop.place(key="again") == first


async def test_an_order_of_what_nobody_has_is_cancelled(shop: Shop) -> None:
    """Out of stock as a whole: nothing is held, nothing is charged."""
    order = await shop.place(lines=[("SKU-0001", 1, 100), ("NO-SUCH-THING", 1, 100)])
    ended = await shop.until(order)
    assert (ended["state"], ended["reason"]) == ("CANCELLED", "OUT_OF_STOCK")
    assert sum(captured for _, captured, _ in await _payments(shop.fleet, order)) == 0


async def test_a_partial_order_takes_what_there_is(shop: Shop) -> None:
    """Of three wanted and two there, two are charged and shipped when the customer agrees to a part."""
    await _put_on_shelf(shop.fleet, "RARE-1", 2)
    order = await shop.place(lines=[("RARE-1", 3, 700), ("GONE-1", 5, 100)], partial=True)
    ended = await shop.until(order)
    assert (ended["state"], ended["amount"]) == ("COMPLETED", 1400)
    assert await _stock(shop.fleet, "RARE-1") == (0, 0, 2)


async def test_names_of_other_systems_go_all_the_way(shop: Shop) -> None:
    """Article, customer and token of any text, an address without postcode: reserved, paid, shipped, refunded."""
    sku, token = "gid://shop/A 4+grün?#%2F", "eyJhbGciOiJIUzI1NiJ9.e30.Zm9v-_/A=="
    await _put_on_shelf(shop.fleet, sku, 4)
    for country, state in (("IE", "COMPLETED"), ("XX", "CANCELLED")):
        wanted = order(key=f"#1001/{country} ü", card=token, country=country, lines=[(sku, 2, 450)])
        wanted["customer"] |= {"id": "Ann Ünal <ann+1@example.org>", "name": "Ann Ünal"}
        wanted["shipTo"] |= {"street": ["c/o Bo", "Quay 7"], "postcode": None, "region": "Leinster"}
        (placed,) = await shop.place_all([wanted])
        assert (await shop.until(placed))["state"] == state
    assert await _stock(shop.fleet, sku) == (2, 0, 2)
    assert await _payments(shop.fleet, placed) == [("REFUNDED", 900, 900)]


async def test_the_last_piece_goes_to_one_of_many(shop: Shop) -> None:
    """Thirty orders for five pieces: five complete, twenty-five are cancelled, whatever their order."""
    await _put_on_shelf(shop.fleet, "RARE-2", 5)
    orders = [await shop.place(lines=[("RARE-2", 1, 100)]) for _ in range(30)]
    ended = [(await shop.until(order))["state"] for order in orders]
    assert (ended.count("COMPLETED"), ended.count("CANCELLED")) == (5, 25)
    assert await _stock(shop.fleet, "RARE-2") == (0, 0, 5)


async def test_a_declined_payment_gives_the_stock_back(shop: Shop) -> None:
    """What was held for an order whose payment is declined is on hand again."""
    await _put_on_shelf(shop.fleet, "RARE-3", 4)
    ended = await shop.until(await shop.place(card="tok_declined", lines=[("RARE-3", 3, 100)]))
    assert (ended["state"], ended["reason"], ended["undo"]) == ("CANCELLED", "PAYMENT_DECLINED", [])
    assert await _stock(shop.fleet, "RARE-3") == (4, 0, 0)


@pytest.mark.parametrize(
    ("card", "state"),
    [
        ("tok_lost", "COMPLETED"),
        ("tok_timeout", "COMPLETED"),
        ("tok_double", "COMPLETED"),
        ("tok_lost_declined", "CANCELLED"),
    ],
)
async def test_an_unknown_payment_outcome_is_asked_for(shop: Shop, card: str, state: str) -> None:
    """Captured or not: an order whose payment's answer never came ends by what the provider says when asked."""
    await shop.provider(timeoutSeconds=4)
    order = await shop.place(card=card)
    assert (await shop.until(order))["state"] == state
    captured = 1000 if state == "COMPLETED" else 0
    assert [(p[1], p[2]) for p in await _payments(shop.fleet, order)] == [(captured, 0)]


async def test_no_carrier_after_capture_means_refund_restock_and_cancel(shop: Shop) -> None:
    """A shipment that fails after the payment undoes everything, money before stock."""
    await _put_on_shelf(shop.fleet, "RARE-4", 2)
    order = await shop.place(country="XX", lines=[("RARE-4", 2, 100)])
    ended = await shop.until(order)
    assert (ended["state"], ended["reason"]) == ("CANCELLED", "SHIPMENT_FAILED")
    assert await _payments(shop.fleet, order) == [("REFUNDED", 200, 200)]
    assert await _stock(shop.fleet, "RARE-4") == (2, 0, 0)
    told = await shop.timeline(order)
    assert told.index("PAYMENT_REFUNDED") < told.index("STOCK_RESTORED")


async def test_two_hundred_orders_of_every_fate_end(shop: Shop) -> None:
    """All of it at once, and then the oracles over every order this fleet has had."""
    orders = await shop.place_all(mixture(200))
    before = await shop.fleet.fetch('SELECT count(*) AS n FROM "order".orders')
    await until_at_rest(shop.fleet, before[0]["n"])
    print(await judge(shop.fleet))
    ended = await shop.fleet.fetch('SELECT state FROM "order".orders WHERE order_id = ANY($1)', orders)
    assert [row["state"] for row in ended].count("CANCELLED") == 50


async def _put_on_shelf(fleet: Fleet, sku: str, units: int) -> None:
    await fleet.fetch("INSERT INTO inventory.stock (sku, on_hand, initial) VALUES ($1, $2, $2)", sku, units)


async def _stock(fleet: Fleet, sku: str) -> tuple[int, int, int]:
    row = (await fleet.fetch("SELECT on_hand, reserved, sold FROM inventory.stock WHERE sku = $1", sku))[0]
    return row["on_hand"], row["reserved"], row["sold"]


async def _payments(fleet: Fleet, order: str) -> list[tuple[str, int, int]]:
    rows = await fleet.fetch("SELECT state, captured, refunded FROM payment.payment WHERE order_id = $1", order)
    return [(row["state"], row["captured"], row["refunded"]) for row in rows]
