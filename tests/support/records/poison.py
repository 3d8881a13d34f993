"""Records that are no events, of every kind we could think of, and what a service's dead-letter topic holds of them."""

import itertools
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from orderflow_contracts.envelope import Envelope, Header
from orderflow_contracts.event import Event
from orderflow_runtime.core.event_log import partition_of
from orderflow_shop.events import (
    Address,
    CancelReason,
    Customer,
    InventoryUpdated,
    Line,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OutOfStock,
    PaymentFailed,
    PaymentFailure,
    PaymentMethod,
    PaymentProcessed,
    PaymentRefunded,
    ShipmentCreated,
    ShipmentFailed,
    ShipmentFailure,
    StockReserved,
    StockRestored,
)

BROKER_LIMIT = 1_048_588
"""The largest batch that a broker takes by default."""
_LINES = (Line(sku="SKU-0001", quantity=1, unit_price=100),)
_CUSTOMER = Customer(id="c1", email="ann@example.org", name="Ann")
_ADDRESS = Address(name="Ann", street="Main St 1", city="Ghent", postcode="9000", country="DE")


class OddName(str):
    """A header name whose bytes are no text, as other clients can send it."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:  # type: ignore[override]  # this name has one form alone
        """Give the bytes that go out."""
        return b"n\xff\xfeme"


@dataclass(frozen=True)
class Wire:
    """One record to send: `kind` says what is wrong with it."""

    kind: str
    topic: str
    key: bytes | None
    headers: Sequence[Header]
    value: bytes | None


def healthy_events(order_id: str) -> list[Event]:
    """One event of every type."""
    method, euro = PaymentMethod(token="tok_ok"), "EUR"  # noqa: S106 - a test card
    return [
        OrderCreated(
            order_id=order_id,
            customer=_CUSTOMER,
            lines=_LINES,
            currency=euro,
            payment=method,
            ship_to=_ADDRESS,
            allow_partial=False,
        ),
        StockReserved(order_id=order_id, lines=_LINES, amount=100, currency=euro, payment=method, partial=False),
        OutOfStock(order_id=order_id, missing=_LINES),
        PaymentProcessed(order_id=order_id, amount=100, currency=euro, reference="r"),
        PaymentFailed(order_id=order_id, reason=PaymentFailure.DECLINED),
        PaymentRefunded(order_id=order_id, amount=100, currency=euro),
        InventoryUpdated(order_id=order_id, lines=_LINES, ship_to=_ADDRESS),
        StockRestored(order_id=order_id, lines=_LINES),
        ShipmentCreated(order_id=order_id, tracking="t"),
        ShipmentFailed(order_id=order_id, reason=ShipmentFailure.UNSERVICEABLE_ADDRESS),
        OrderCompleted(order_id=order_id, customer=_CUSTOMER, amount=100, currency=euro),
        OrderCancelled(order_id=order_id, reason=CancelReason.CUSTOMER, customer=_CUSTOMER),
    ]


def _headers(event: Event, **changes: bytes | None) -> list[Header]:
    envelope = Envelope(str(uuid.uuid4()), "/test/poison", event.TYPE, datetime.now(UTC), event.VERSION)
    return [(name, changes.get(name, value)) for name, value in envelope.headers()]


Poison = Callable[[Event, str], Wire]
KINDS: dict[str, Poison] = {}


def _kind(name: str, make: Callable[[Event], dict[str, Any]], fits: Callable[[Event], bool] = lambda _: True) -> None:
    def build(event: Event, topic: str) -> Wire:
        parts = {"key": event.key.encode(), "headers": _headers(event), "value": event.encode()}
        return Wire(name, topic, **(parts | make(event)))

    KINDS[name] = build
    _FITS[name] = fits


_FITS: dict[str, Callable[[Event], bool]] = {}


def _id_as(value: bytes) -> Callable[[Event], dict[str, Any]]:
    return lambda e: {"value": e.encode().replace(b'"orderId":"%s"' % e.key.encode(), b'"orderId":' + value, 1)}


def _has(text: bytes) -> Callable[[Event], bool]:
    return lambda event: text in event.encode()


def _amount_as(value: bytes) -> Callable[[Event], dict[str, Any]]:
    return lambda e: {"value": e.encode().replace(b'"amount":100', b'"amount":' + value)}


def _sized(batch_bytes: int) -> Callable[[Event], dict[str, Any]]:
    """A broken value with which the batch is of just this size."""

    def make(event: Event) -> dict[str, Any]:
        headers = _headers(event)
        size = batch_bytes - 200 - len(event.key)
        while (found := len(_batch(event.key.encode(), headers, b"{" * size))) != batch_bytes:
            size += batch_bytes - found
        return {"headers": headers, "value": b"{" * size}

    return make


_DEEP = 10_000
_kind("broken JSON", lambda e: {"value": e.encode()[:-1]})
_kind("empty value", lambda e: {"value": b""})
_kind("null value", lambda e: {"value": None})
_kind("not an object", lambda e: {"value": b'["%s"]' % e.key.encode()})
_kind("value not UTF-8", lambda e: {"value": e.encode().replace(b":", b":\xff", 1)})
_kind("half a surrogate pair", _id_as(rb'"\ud800"'))
_kind("NUL in the value", _id_as(rb'"a\u0000b"'))
_kind("a NUL byte", lambda e: {"value": b"\x00" + e.encode()})
_kind("arrays 10,000 deep", lambda e: {"value": b'{"x":' + b"[" * _DEEP + b"]" * _DEEP + b"," + e.encode()[1:]})
_kind("objects 10,000 deep", lambda e: {"value": b'{"x":' * _DEEP + e.encode() + b"}" * _DEEP})
_kind("NaN", _id_as(b"NaN"))
_kind("10^300 for an id", _id_as(b"1e300"))
_kind("NaN for an amount", _amount_as(b"NaN"), _has(b'"amount":100'))
_kind("10^300 for an amount", _amount_as(b"1e300"), _has(b'"amount":100'))
_kind("301 digits for an amount", _amount_as(b"1" + b"0" * 300), _has(b'"amount":100'))
_kind("a negative amount", _amount_as(b"-100"), _has(b'"amount":100'))
_kind("a negative price", lambda e: {"value": e.encode().replace(b'unitPrice":', b'unitPrice":-')}, _has(b"unitPrice"))
_kind("an unknown type", lambda e: {"headers": _headers(e, ce_type=b"ORDER_CRATED")})
_kind("no type", lambda e: {"headers": [h for h in _headers(e) if h[0] != "ce_type"]})
_kind("null type", lambda e: {"headers": _headers(e, ce_type=None)})
_kind("no headers", lambda e: {"headers": []})
_kind("id not UTF-8", lambda e: {"headers": _headers(e, ce_id=b"\xff\xfe")})
_kind("id with NUL", lambda e: {"headers": _headers(e, ce_id=b"a\x00b")})
_kind("a long id", lambda e: {"headers": _headers(e, ce_id=b"x" * 2_000)})
_kind("time with no offset", lambda e: {"headers": _headers(e, ce_time=b"2026-01-01T00:00:00")})
_kind("time before time", lambda e: {"headers": _headers(e, ce_time=b"0001-01-01T00:00:00+23:00")})
_kind("a header name not UTF-8", lambda e: {"headers": [*_headers(e), (OddName("n"), b"v")], "value": b""})
_kind("10,000 headers", lambda e: {"headers": [*_headers(e), *([("h", b"v")] * 10_000)], "value": b""})
_kind("batched mode", lambda _: {"headers": [("Content-Type", b"application/cloudevents-batch+json")]})
_kind("broken in structured mode", lambda _: {"headers": [("content-type", b"application/cloudevents+json")]})
_kind("version 0", lambda e: {"headers": _headers(e, ce_dataversion=b"0")})
_kind("a version in words", lambda e: {"headers": _headers(e, ce_dataversion=b"two")})
_kind("another specification", lambda e: {"headers": _headers(e, ce_specversion=b"2.0")})
_kind("null key", lambda e: {"key": None})
_kind("empty key", lambda e: {"key": b""})
_kind("key not UTF-8", lambda e: {"key": b"\xff\xfe"})
_kind("key with NUL", lambda e: {"key": e.key.encode() + b"\x00"})
_kind("another key", lambda e: {"key": b"not-" + e.key.encode()})
_kind("a long key", lambda e: {"key": e.key.encode() * 100})
_kind("a byte below 1 MB", lambda e: {"value": b"{" * 999_999})
_kind("1 MB", lambda e: {"value": b"{" * 1_000_000})
_kind("a byte above 1 MB", lambda e: {"value": b"{" * 1_000_001})
_kind("a byte below the broker's limit", _sized(BROKER_LIMIT - 1))
_kind("the broker's limit", _sized(BROKER_LIMIT))
_LARGE = tuple(name for name in KINDS if "MB" in name or "limit" in name)


def above_the_limit(event: Event, topic: str) -> Wire:
    """A record that no broker takes by default."""
    parts = {"key": event.key.encode()} | _sized(BROKER_LIMIT + 1)(event)
    return Wire("a byte above the broker's limit", topic, **parts)


def poison(count: int, topics: dict[str, str]) -> Iterator[Wire]:
    """Give so many poisoned records over all kinds and topics (by event type); each large kind comes twice."""
    left = dict.fromkeys(_LARGE, 2)
    made = 0
    for event, kind in itertools.cycle(itertools.product(healthy_events("poisoned"), KINDS)):
        if made == count:
            return
        if event.TYPE not in topics or not _FITS[kind](event) or left.get(kind, 1) == 0:
            continue
        if kind in left:
            left[kind] -= 1
        made += 1
        yield KINDS[kind](event, topics[event.TYPE])


def _batch(key: bytes | None, headers: Sequence[Header], value: bytes | None) -> bytes:
    return bytes(_builder(key, headers, value).build())


def _builder(key: bytes | None, headers: Sequence[Header], value: bytes | None) -> _DefaultRecordBatchBuilderPy:
    builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, -1, 0)
    builder.append(0, int(time.time() * 1000), key, value, list(headers))
    return builder


class Poisoner:
    """A producer that sends any bytes; each record is a batch of its own."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=2 * BROKER_LIMIT)

    async def __aenter__(self) -> "Poisoner":
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def send(self, wire: Wire) -> tuple[str, int, int]:
        """Send a record; give its topic, partition and offset."""
        batch = self._producer.create_batch()
        batch._builder = _builder(wire.key, wire.headers, wire.value)
        batch._relative_offset = 1
        partitions = len(await self._producer.partitions_for(wire.topic))
        number = partition_of(wire.key or b"", partitions)
        found = await (await self._producer.send_batch(batch, wire.topic, partition=number))
        return found.topic, found.partition, found.offset


async def read_topic(bootstrap: str, topic: str) -> list[Any]:
    """Read all that a topic holds now, partition by partition, as aiokafka's records."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 * BROKER_LIMIT,
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        assert ends, f"{topic} is not there"
        found = []
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += records
        return found
    finally:
        await consumer.stop()
