"""Services that die, events that fail, records that break: what comes after belongs to the same trace."""

import asyncio
import signal
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from orderflow_contracts.dead_letters import REDRIVE_OF
from orderflow_model.topics import event_topic
from orderflow_shop.events import ShipmentCreated
from support.flow.fleet import Fleet, until
from support.flow.orders import Shop
from support.records import raw_events
from support.records.otlp import Received
from support.records.poison import read_topic
from support.records.traces import order_trace
from support.runtime import faulty


@pytest.mark.parametrize(
    ("service", "sent", "above"),
    [
        ("inventory", "STOCK_RESERVED", "send ORDER_CREATED"),
        ("payment", "PAYMENT_PROCESSED", "send STOCK_RESERVED"),
        ("shipping", "SHIPMENT_CREATED", "send INVENTORY_UPDATED"),
    ],
)
async def test_an_order_is_one_trace_though_a_service_dies_between_commit_and_publish(
    shop: Shop, received: Received, service: str, sent: str, above: str
) -> None:
    """SIGKILL takes the spans of the handler along; who publishes in its place hangs the event on its cause."""
    fleet = shop.fleet
    await _die_at(fleet, service, faulty.AFTER_COMMIT, 1)
    placed = await shop.place()
    await _until_dead(fleet, f"{service}-0")
    fleet.start(service)
    assert (await shop.until(placed))["state"] == "COMPLETED"
    trace = await order_trace(received, placed)
    assert len(trace.roots()) == 1, trace
    sending = trace.only(f"send {sent}", service)
    parent = trace.parent(sending)
    assert parent is not None
    assert parent.name == above, trace


async def test_an_order_is_one_trace_though_the_order_service_dies_when_it_has_committed(
    shop: Shop, received: Received
) -> None:
    """The request's own span dies untold; all that it caused still hangs together under its id."""
    fleet = shop.fleet
    await _die_at(fleet, "order", faulty.AFTER_COMMIT, 1)
    placing = asyncio.create_task(shop.place())  # the answer may be on its way when it dies: then it is asked for again
    await _until_dead(fleet, "order-0")
    await fleet.until_ready(fleet.start("order"))
    placed = await placing
    assert (await shop.until(placed))["state"] == "COMPLETED"
    trace = await order_trace(received, placed)
    assert len({root.parent for root in trace.roots()}) == 1, trace


async def test_a_call_that_was_under_way_is_asked_for_in_the_order_s_trace(shop: Shop, received: Received) -> None:
    """Killed while the provider takes its time: the next owner's question hangs on the event that wanted the money."""
    await shop.provider(latencyMs=1500)
    placed = await shop.place()

    async def called() -> bool:
        return bool(await shop.fleet.fetch("SELECT 1 FROM payment.calls WHERE key = $1", placed))

    await until(called, "payment has asked", every=0.02)
    shop.fleet.kill("payment-0")
    shop.fleet.start("payment")
    assert (await shop.until(placed))["state"] == "COMPLETED"
    trace = await order_trace(received, placed)
    assert len(trace.roots()) == 1, trace
    assert trace.parent(trace.named("lookup capture")[0]) == trace.only("send STOCK_RESERVED")


async def test_retries_a_dead_letter_and_its_redrive_are_one_trace(shop: Shop, received: Received) -> None:
    """An event of an order that is not there fails three times and dies; redriven, it does so again in its trace."""
    fleet, unknown = shop.fleet, str(uuid.uuid4())
    shipped = ShipmentCreated(order_id=unknown, tracking="EARLY")
    trace_id, span = uuid.uuid4().hex, uuid.uuid4().hex[:16]
    headers = raw_events.send(fleet, shipped, trace=[("traceparent", f"00-{trace_id}-{span}-01".encode())])
    letter = await _dead(fleet, "order", unknown)
    assert letter["trace"].startswith(f"00-{trace_id}")
    redriven = [*headers, (REDRIVE_OF, str(letter["id"]).encode())]
    raw_events.publish(fleet, [raw_events.record_of(fleet, shipped, redriven, shipped.encode())])
    await _dead(fleet, "order", unknown, redrives=1)
    trace = await order_trace(received, unknown)
    attempts = sorted(trace.named("process SHIPMENT_CREATED", "order"), key=lambda span: span.began)
    assert {(attempt.trace, attempt.parent) for attempt in attempts} == {(trace_id, span)}
    assert [attempt.attributes["error.type"] for attempt in attempts] == ["UnknownOrderError"] * 6
    assert [attempt.attributes.get("orderflow.retries", 0) for attempt in attempts[:2]] == [0, 1]


async def test_a_poisoned_event_that_is_repaired_and_redriven_completes_its_order_in_its_trace(
    shop: Shop, received: Received
) -> None:
    """Payment gets broken bytes: the failed attempt and what follows the repair hang on the same sending."""
    fleet = shop.fleet
    fleet.kill("payment-0", signal.SIGTERM)
    placed = await shop.place()
    await shop.until(placed, "RESERVED")
    topic = event_topic(fleet.flow, fleet.flow.spec.event("STOCK_RESERVED")).name
    (record,) = (found for found in await read_topic(fleet.bootstrap, topic) if found.key == placed.encode())
    await fleet.fetch(_SKIP, topic, record.partition, record.offset + 1)
    raw_events.publish(fleet, [(topic, record.partition, record.key, record.headers, b'{"orderId": broken')])
    fleet.start("payment")
    letter = await _dead(fleet, "payment", placed)
    redriven = [*record.headers, (REDRIVE_OF, str(letter["id"]).encode())]
    raw_events.publish(fleet, [(topic, record.partition, record.key, redriven, record.value)])
    assert (await shop.until(placed))["state"] == "COMPLETED"
    trace = await order_trace(received, placed)
    assert len(trace.roots()) == 1, trace
    broken, repaired = sorted(trace.named("process STOCK_RESERVED", "payment"), key=lambda span: span.began)
    assert (broken.failed, repaired.failed, broken.parent) == (True, False, repaired.parent)
    assert trace.parent(broken) == trace.only("send STOCK_RESERVED")


_SKIP = """
INSERT INTO payment.offsets (topic, partition, next_offset) VALUES ($1, $2, $3)
ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset
"""
"""Payment goes on behind a record."""


async def _die_at(fleet: Fleet, service: str, point: str, passes: int) -> None:
    """Start a service anew that will die at its pass of a point."""
    fleet.kill(f"{service}-0", signal.SIGTERM)
    command = [sys.executable, str(Path(faulty.__file__)), service, point, str(passes)]
    await fleet.until_ready(fleet.start(service, command=command))


async def _until_dead(fleet: Fleet, name: str) -> None:
    await until(lambda: fleet.processes[name].poll() is not None, f"{name} is dead")
    assert fleet.processes[name].returncode == -signal.SIGKILL


async def _dead(fleet: Fleet, service: str, key: str, redrives: int = 0) -> dict[str, Any]:
    """Wait for a key's dead letter, and give its row."""
    query = (
        f'SELECT id, trace FROM "{service}".dead_letters '  # noqa: S608 - a fixed name
        "WHERE key = $1 AND state = 'Dead' AND redrives = $2"
    )
    await until(lambda: fleet.fetch(query, key, redrives), "the event is given up")
    return dict((await fleet.fetch(query, key, redrives))[0])
