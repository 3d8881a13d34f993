"""What waits in the database while its service is killed: failed events and their attempts, timers, calls."""

import asyncio
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from confluent_kafka import Producer

from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.postgres import Postgres
from orderflow_contracts.envelope import Envelope
from orderflow_model.topics import event_topic
from orderflow_runtime.core.event_log import partition_of
from orderflow_shop.events import ShipmentCreated
from support.flow.chaos import kill_and_restart
from support.flow.fleet import TOGETHER, Fleet, until
from support.flow.oracles import judge, until_at_rest
from support.flow.orders import Json, Shop, open_fleet, order, start_all

RETRIES = 5
STRAYS = 30
ORDERS = 150


@pytest.fixture(scope="module")
def fleet(kafka: Kafka, postgres: Postgres, scratch: Path) -> Iterator[Fleet]:
    """The reference flow with little time for an order and short waits between attempts."""
    delivery = {"retries": RETRIES, "backoff": "Fixed", "delay": "800ms"}
    with open_fleet(kafka.bootstrap, postgres.admin_url, scratch, deadline="4s", delivery=delivery) as fleet:
        start_all(fleet)
        yield fleet


@pytest.mark.timeout(400)
async def test_calls_in_flight_are_asked_for_when_payment_dies(shop: Shop) -> None:
    """Payment dies again and again with calls under way: the provider captures once for each order, and none waits."""
    fleet = shop.fleet
    await shop.provider(latencyMs=300)
    for _ in range(6):
        await shop.place_all(_orders(25))
        await until(lambda: fleet.fetch("SELECT 1 FROM payment.calls"), "calls are under way", every=0.02)
        await asyncio.sleep(0.1)
        await kill_and_restart(fleet, "payment-0")
    await shop.provider()
    await until_at_rest(fleet, 1)
    ledger = await shop.ledger()
    print(f"\n{await judge(fleet)}; received again: {len(ledger['receivedAgain'])}")


@pytest.mark.skipif(TOGETHER, reason="payment cannot be away while the order service runs")
@pytest.mark.timeout(400)
async def test_deadlines_pass_while_the_order_service_is_killed(shop: Shop) -> None:
    """Payment is silent and the order service dies while deadlines fall due: each is passed once, and all is undone."""
    fleet, random = shop.fleet, Random(4717)
    fleet.kill("payment-0")
    orders: list[str] = []
    for _ in range(5):
        orders += await shop.place_all(_orders(ORDERS // 5))
        await asyncio.sleep(random.uniform(0.2, 1))
        await kill_and_restart(fleet, "order-0")

    async def all_expired() -> bool:
        query = "SELECT count(*) AS n FROM \"order\".orders WHERE order_id = ANY($1) AND reason = 'DEADLINE'"
        return bool((await fleet.fetch(query, orders))[0]["n"] == ORDERS)

    await until(all_expired, "every order is cancelled at its deadline")
    fleet.start("payment")
    await until_at_rest(fleet, 1)
    print(f"\n{await judge(fleet)}")
    decided = await fleet.fetch(
        'SELECT count(*) AS n FROM "order".orders, jsonb_array_elements(history) AS e'
        " WHERE order_id = ANY($1) AND e ->> 'what' = 'ORDER_CANCELLED' GROUP BY order_id",
        orders,
    )
    assert [row["n"] for row in decided] == [1] * ORDERS


# the last of the module: its dead letters stay
async def test_kills_add_and_forget_no_attempt_of_a_failing_event(shop: Shop) -> None:
    """Events of unknown orders fail again and again while their service dies: each is tried exactly as told."""
    fleet, random = shop.fleet, Random(4716)
    keys = _send_strays(fleet)

    async def dead() -> list[int]:
        return [r["attempts"] for r in await fleet.fetch('SELECT attempts FROM "order".dead_letters')]

    kills = 0
    while len(await dead()) < STRAYS:
        await kill_and_restart(fleet, "order-0")
        kills += 1
        await fleet.until_ready("order-0")
        await asyncio.sleep(random.uniform(0.2, 1.5))
    assert await dead() == [RETRIES + 1] * STRAYS
    letters = {row["key"] for row in await fleet.fetch('SELECT key FROM "order".dead_letters')}
    assert letters == keys
    print(f"\n{STRAYS} events, {kills} kills: {RETRIES + 1} attempts each")


def _orders(number: int) -> list[Json]:
    return [order() for _ in range(number)]


def _send_strays(fleet: Fleet) -> set[str]:
    """Publish events of orders that nobody placed; give their keys."""
    topic = event_topic(fleet.flow, fleet.flow.spec.event("SHIPMENT_CREATED"))
    producer = Producer({"bootstrap.servers": fleet.bootstrap, "acks": "all"})
    keys = {str(uuid.uuid4()) for _ in range(STRAYS)}
    for key in keys:
        event = ShipmentCreated(order_id=key, tracking="STRAY")
        headers = Envelope(str(uuid.uuid4()), "/by/hand", event.TYPE, datetime.now(UTC)).headers()
        number = partition_of(key.encode(), topic.partitions)
        producer.produce(topic.name, event.encode(), key.encode(), number, headers=headers)
    assert producer.flush(30) == 0
    return keys
