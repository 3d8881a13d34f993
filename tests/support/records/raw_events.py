"""Events as others may send them, without the runtime: made, published, read and compared by hand."""

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from orderflow_contracts.envelope import Envelope, Header
from orderflow_model.topics import event_topic
from orderflow_runtime.core.event_log import partition_of
from orderflow_shop.events import OrderCreated, ShipmentCreated
from support.flow.fleet import Fleet
from support.flow.orders import order

Record = tuple[str, int, bytes, list[Header], bytes]
"""Topic, partition, key, headers, value."""


def created() -> OrderCreated:
    """Give an order that nobody has placed."""
    wanted = order()
    del wanted["idempotencyKey"]
    return OrderCreated.model_validate(wanted | {"orderId": str(uuid.uuid4())})


async def placed_silently(fleet: Fleet) -> OrderCreated:
    """An order whose ORDER_CREATED nobody has published: the test will."""
    made = created()
    await insert(fleet, made)
    return made


async def insert(fleet: Fleet, created: OrderCreated) -> None:
    """Have the order service know an order."""
    await fleet.fetch(
        'INSERT INTO "order".orders (order_id, placed_at, customer, details, currency, attempt, state, undo, history)'
        " VALUES ($1, now(), $2, $3, $4, 0, 'PENDING', '{PAYMENT,STOCK}', $5)",
        created.order_id,
        created.customer.model_dump_json(by_alias=True),
        created.model_dump_json(by_alias=True, exclude={"order_id", "customer", "currency"}),
        created.currency,
        json.dumps([{"at": datetime.now(UTC).isoformat(), "what": "ORDER_CREATED", "state": "PENDING"}]),
    )


def send(
    fleet: Fleet,
    event: OrderCreated | ShipmentCreated,
    version: int | None = None,
    value: bytes = b"",
    trace: Sequence[Header] = (),
) -> list[Header]:
    """Publish an event as its service would, in any version and trace; give its headers."""
    envelope = Envelope(str(uuid.uuid4()), "/by/hand", event.TYPE, datetime.now(UTC), version or event.VERSION)
    headers = [*envelope.headers(), *trace]
    publish(fleet, [record_of(fleet, event, headers, value or event.encode())])
    return headers


def record_of(fleet: Fleet, event: OrderCreated | ShipmentCreated, headers: list[Header], value: bytes) -> Record:
    """Give the record of an event, on the partition of its key."""
    topic = event_topic(fleet.flow, fleet.flow.spec.event(event.TYPE))
    return topic.name, partition_of(event.key.encode(), topic.partitions), event.key.encode(), headers, value


def publish(fleet: Fleet, records: Sequence[Record]) -> None:
    """Put records where they say they belong."""
    producer = Producer({"bootstrap.servers": fleet.bootstrap, "acks": "all"})
    for topic, number, key, headers, value in records:
        producer.produce(topic, value, key, number, headers=list(headers))
    assert producer.flush(30) == 0


def records(fleet: Fleet) -> list[Record]:
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


async def picture(fleet: Fleet) -> list[Any]:
    """All business rows."""
    tables = (
        '"order".orders',
        "payment.payment",
        "shipping.shipment",
        "inventory.reservation",
        "inventory.stock",
        "notification.notifications",
    )
    queries = [f"SELECT to_jsonb(t) AS row FROM {table} AS t ORDER BY 1" for table in tables]  # noqa: S608 - fixed names
    return [row["row"] for query in queries for row in await fleet.fetch(query)]
