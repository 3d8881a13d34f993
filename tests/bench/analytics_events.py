"""Events for the bench of the lake: orders that were placed, paid for and sent, some hundred bytes an event."""

import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from confluent_kafka import Producer

from orderflow_contracts.envelope import Envelope
from orderflow_contracts.event import Event
from orderflow_model.topics import event_topic
from orderflow_shop import events as shop
from support.analytics.stored import Stored
from support.flow.fleet import Fleet

AN_ORDER = "00000000-0000-0000-0000-000000000000"
DAYS = 10


def story() -> list[Event]:
    """Return the events of one order that goes well."""
    customer = shop.Customer(id="c1", email="ann@example.org", name="Ann")
    lines = (
        shop.Line(sku="SKU-0001", quantity=2, unit_price=500),
        shop.Line(sku="SKU-0002", quantity=1, unit_price=99),
    )
    money = {"amount": 1099, "currency": "EUR"}
    card = shop.PaymentMethod(token="tok_ok")  # noqa: S106 - the provider's word for a card that works
    home = shop.Address(name="Ann", street="Lindenweg 1", city="Köln", country="DE")
    own = {"order_id": AN_ORDER}
    return [
        shop.OrderCreated(
            **own, customer=customer, lines=lines, currency="EUR", payment=card, ship_to=home, allow_partial=False
        ),
        shop.StockReserved(**own, lines=lines, payment=card, partial=False, **money),
        shop.PaymentProcessed(**own, reference="pay_0123456789", **money),
        shop.InventoryUpdated(**own, lines=lines, ship_to=home),
        shop.ShipmentCreated(**own, tracking="JD0123456789"),
        shop.OrderCompleted(**own, customer=customer, **money),
    ]


def stored(number: int, until: datetime) -> Iterator[Stored]:
    """Yield so many events, of orders that were placed in the days before; their ids are new at each call."""
    told = [(event.TYPE, event.VERSION, event.encode()) for event in story()]
    for count in range(number):
        order, step = divmod(count, len(told))
        kind, version, data = told[step]
        name = str(uuid.UUID(int=order))
        time = until - timedelta(days=DAYS * (1 - count / number))
        yield Stored(
            kind, "/shop/x", f"{uuid.uuid4().hex}", version, name, time, data.replace(AN_ORDER.encode(), name.encode())
        )


def publish(fleet: Fleet, events: Sequence[Stored]) -> None:
    """Publish events as their services would."""
    producer = Producer({"bootstrap.servers": fleet.bootstrap, "acks": "all", "linger.ms": 20})
    for one in events:
        topic = event_topic(fleet.flow, fleet.flow.spec.event(one.type)).name
        headers = Envelope(one.id, one.source, one.type, one.time, one.version).headers()
        producer.produce(topic, one.data, one.key, headers=list(headers))
        producer.poll(0)
    assert producer.flush(120) == 0
