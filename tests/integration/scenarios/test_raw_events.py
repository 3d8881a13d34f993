"""Events as others may send them: again, in any order, in old and in coming versions, and for orders nobody knows."""

import json
import random
from typing import Any

from orderflow_contracts.dead_letters import REDRIVE_OF
from orderflow_shop.events import OrderCreated, ShipmentCreated
from support.flow.fleet import Fleet, until
from support.flow.oracles import judge, until_at_rest
from support.flow.orders import Shop, mixture
from support.records import raw_events


async def test_every_event_again_and_in_any_order_changes_nothing(shop: Shop) -> None:
    """All events of forty ended orders come twice more, shuffled: not one order, payment or unit of stock moves."""
    orders = await shop.place_all(mixture(40))
    await until_at_rest(shop.fleet, 40)
    before = await raw_events.picture(shop.fleet)
    again = [record for record in raw_events.records(shop.fleet) if record[2].decode() in orders] * 2
    random.Random(7).shuffle(again)
    raw_events.publish(shop.fleet, again)
    await until_at_rest(shop.fleet, 40)
    assert await raw_events.picture(shop.fleet) == before
    print(f"{len(again)} events again: {await judge(shop.fleet)}")


async def test_an_old_event_is_lifted_to_today(shop: Shop) -> None:
    """ORDER_CREATED of version 1 knew no currency and no partial delivery; its order completes in euro."""
    created = await raw_events.placed_silently(shop.fleet)
    data = json.loads(created.encode())
    del data["currency"], data["allowPartial"]
    raw_events.send(shop.fleet, created, version=1, value=json.dumps(data).encode())
    ended = await shop.until(created.order_id)
    assert (ended["state"], ended["amount"]) == ("COMPLETED", 1000)


async def test_a_coming_version_is_read_as_far_as_it_is_known(shop: Shop) -> None:
    """A producer that moved first adds fields; who does not know them goes on."""
    created = await raw_events.placed_silently(shop.fleet)
    data = json.loads(created.encode()) | {"giftWrap": {"colour": "red"}, "channel": "app"}
    raw_events.send(shop.fleet, created, version=OrderCreated.VERSION + 1, value=json.dumps(data).encode())
    assert (await shop.until(created.order_id))["state"] == "COMPLETED"


async def test_an_event_of_an_unknown_order_dies_and_is_redriven_when_the_order_is_there(shop: Shop) -> None:
    """Retried, then a dead letter with its bytes; redriven once the order exists it counts once, however often sent."""
    created = raw_events.created()
    shipped = ShipmentCreated(order_id=created.order_id, tracking="EARLY-1")
    headers = raw_events.send(shop.fleet, shipped)

    async def dead() -> list[Any]:
        query = "SELECT id, attempts FROM \"order\".dead_letters WHERE key = $1 AND state = 'Dead'"
        return await shop.fleet.fetch(query, created.order_id)

    await until(dead, "the event is given up")
    letter = (await dead())[0]
    assert letter["attempts"] == 3
    await raw_events.insert(shop.fleet, created)
    redrive = (REDRIVE_OF, str(letter["id"]).encode())
    for _ in range(3):
        raw_events.publish(
            shop.fleet, [raw_events.record_of(shop.fleet, shipped, [*headers, redrive], shipped.encode())]
        )
    await until(lambda: _history(shop, created.order_id, "SHIPMENT_CREATED"), "the redriven event is handled")
    raw_events.send(shop.fleet, created)
    assert (await shop.until(created.order_id))["state"] == "COMPLETED"
    assert not await dead()
    assert await _times_noted(shop.fleet, created.order_id, "EARLY-1") == 1  # shipping's own shipment comes besides


async def _times_noted(fleet: Fleet, order_id: str, detail: str) -> int:
    query = 'SELECT count(*) AS n FROM "order".orders, jsonb_array_elements(history) AS entry WHERE order_id = $1'
    rows = await fleet.fetch(query + " AND entry->>'detail' = $2", order_id, detail)
    return int(rows[0]["n"])


async def _history(shop: Shop, order_id: str, what: str) -> bool:
    return what in await shop.timeline(order_id)
