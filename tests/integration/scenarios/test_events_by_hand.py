"""Events as others may send them: again, in any order, in old and in coming versions, and for orders nobody knows."""

import json
import random
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from orderflow_contracts.envelope import Envelope, Header
from orderflow_contracts.events import OrderCreated, ShipmentCreated
from orderflow_model.topics import event_topic
from orderflow_runtime.item import REDRIVE_OF
from orderflow_runtime.log import partition_of
from support.fleet import Fleet, until
from support.oracles import judge, until_at_rest
from support.orders import Shop, mixture, order

Record = tuple[str, int, bytes, list[Header], bytes]
"""Topic, partition, key, headers, value."""


async def test_every_event_again_and_in_any_order_changes_nothing(shop: Shop) -> None:
    """All events of forty ended orders come twice more, shuffled: not one order, payment or unit of stock moves."""
    orders = await shop.place_all(mixture(40))
    await until_at_rest(shop.fleet, 40)
    before = await _picture(shop.fleet)
    again = [record for record in _records(shop.fleet) if record[2].decode() in orders] * 2
    random.Random(7).shuffle(again)
    _publish(shop.fleet, again)
    await until_at_rest(shop.fleet, 40)
    assert await _picture(shop.fleet) == before
    print(f"{len(again)} events again: {await judge(shop.fleet)}")


async def test_an_old_event_is_lifted_to_today(shop: Shop) -> None:
    """ORDER_CREATED of version 1 knew no currency and no partial delivery; its order completes in euro."""
    created = await _placed_silently(shop.fleet)
    data = json.loads(created.encode())
    del data["currency"], data["allowPartial"]
    _send(shop.fleet, created, version=1, value=json.dumps(data).encode())
    ended = await shop.until(created.order_id)
    assert (ended["state"], ended["amount"]) == ("COMPLETED", 1000)


async def test_a_coming_version_is_read_as_far_as_it_is_known(shop: Shop) -> None:
    """A producer that moved first adds fields; who does not know them goes on."""
    created = await _placed_silently(shop.fleet)
    data = json.loads(created.encode()) | {"giftWrap": {"colour": "red"}, "channel": "app"}
    _send(shop.fleet, created, version=OrderCreated.VERSION + 1, value=json.dumps(data).encode())
    assert (await shop.until(created.order_id))["state"] == "COMPLETED"


async def test_an_event_of_an_unknown_order_dies_and_is_redriven_when_the_order_is_there(shop: Shop) -> None:
    """Retried, then a dead letter with its bytes; redriven once the order exists it counts once, however often sent."""
    created = _created()
    shipped = ShipmentCreated(order_id=created.order_id, tracking="EARLY-1")
    headers = _send(shop.fleet, shipped)

    async def dead() -> list[Any]:
        query = "SELECT id, attempts FROM \"order\".dead_letters WHERE key = $1 AND state = 'Dead'"
        return await shop.fleet.fetch(query, created.order_id)

    await until(dead, "the event is given up")
    letter = (await dead())[0]
    assert letter["attempts"] == 3
    await _insert(shop.fleet, created)
    redrive = (REDRIVE_OF, str(letter["id"]).encode())
    for _ in range(3):
        _publish(shop.fleet, [_record(shop.fleet, shipped, [*headers, redrive], shipped.encode())])
    await until(lambda: _history(shop, created.order_id, "SHIPMENT_CREATED"), "the redriven event is handled")
    _send(shop.fleet, created)
    assert (await shop.until(created.order_id))["state"] == "COMPLETED"
    assert not await dead()
    assert await _times_noted(shop.fleet, created.order_id, "EARLY-1") == 1  # shipping's own shipment comes besides


async def _times_noted(fleet: Fleet, order_id: str, detail: str) -> int:
    query = 'SELECT count(*) AS n FROM "order".orders, jsonb_array_elements(history) AS entry WHERE order_id = $1'
    rows = await fleet.fetch(query + " AND entry->>'detail' = $2", order_id, detail)
    return int(rows[0]["n"])


async def _history(shop: Shop, order_id: str, what: str) -> bool:
    return what in await shop.timeline(order_id)


def _created() -> OrderCreated:
    wanted = order()
    del wanted["idempotencyKey"]
    return OrderCreated.model_validate(wanted | {"orderId": str(uuid.uuid4())})


async def _placed_silently(fleet: Fleet) -> OrderCreated:
    """An order whose ORDER_CREATED nobody has published: the test will."""
    created = _created()
    await _insert(fleet, created)
    return created


async def _insert(fleet: Fleet, created: OrderCreated) -> None:
    await fleet.fetch(
        'INSERT INTO "order".orders (order_id, placed_at, customer, details, currency, attempt, state, undo, history)'
        " VALUES ($1, now(), $2, $3, $4, 0, 'PENDING', '{PAYMENT,STOCK}', $5)",
        created.order_id,
        created.customer.model_dump_json(by_alias=True),
        created.model_dump_json(by_alias=True, exclude={"order_id", "customer", "currency"}),
        created.currency,
        json.dumps([{"at": datetime.now(UTC).isoformat(), "what": "ORDER_CREATED", "state": "PENDING"}]),
    )


def _send(
    fleet: Fleet, event: OrderCreated | ShipmentCreated, version: int | None = None, value: bytes = b""
) -> list[Header]:
    """Publish an event as its service would, in any version; give its headers."""
    envelope = Envelope(str(uuid.uuid4()), "/by/hand", event.TYPE, datetime.now(UTC), version or event.VERSION)
    _publish(fleet, [_record(fleet, event, envelope.headers(), value or event.encode())])
    return envelope.headers()


def _record(fleet: Fleet, event: OrderCreated | ShipmentCreated, headers: list[Header], value: bytes) -> Record:
    topic = event_topic(fleet.flow, fleet.flow.spec.event(event.TYPE))
    return topic.name, partition_of(event.key.encode(), topic.partitions), event.key.encode(), headers, value


def _publish(fleet: Fleet, records: Sequence[Record]) -> None:
    producer = Producer({"bootstrap.servers": fleet.bootstrap, "acks": "all"})
    for topic, number, key, headers, value in records:
        producer.produce(topic, value, key, number, headers=headers)
    assert producer.flush(30) == 0


def _records(fleet: Fleet) -> list[Record]:
    """Everything in the flow's event topics."""
    consumer = Consumer({"bootstrap.servers": fleet.bootstrap, "group.id": "by-hand", "enable.auto.commit": False})
    topics = [event_topic(fleet.flow, event) for event in fleet.flow.spec.events]
    found: list[Record] = []
    try:
        parts = [TopicPartition(t.name, number, 0) for t in topics for number in range(t.partitions)]
        left = sum(consumer.get_watermark_offsets(part, timeout=20)[1] for part in parts)
        consumer.assign(parts)
        while len(found) < left:
            found += [(r.topic(), r.partition(), r.key(), r.headers(), r.value()) for r in consumer.consume(500, 1)]
    finally:
        consumer.close()
    return found


async def _picture(fleet: Fleet) -> list[Any]:
    """All business rows."""
    tables = (
        '"order".orders',
        "payment.payment",
        "shipping.shipment",
        "inventory.reservation",
        "inventory.stock",
        "notification.notifications",
    )
    queries = [f"SELECT to_jsonb(t) AS row FROM {table} AS t ORDER BY 1" for table in tables]  # noqa: S608  (fixed names)
    return [row["row"] for query in queries for row in await fleet.fetch(query)]
