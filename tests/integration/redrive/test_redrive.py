"""`orderflow redrive` on real Kafka and Postgres: repaired events end their orders once, nobody else is touched."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.postgres import Postgres
from orderflow_console.queries.masking import MASK
from orderflow_contracts.dead_letters import MAX_REDRIVES
from orderflow_model import environment
from orderflow_model.names import topic_name
from support.flow.cli_process import orderflow
from support.flow.fleet import Fleet, until
from support.flow.oracles import judge, until_at_rest
from support.flow.orders import Shop, open_fleet, shop_of

ORDERS = 3
PARTITIONS = 6
BROKEN = b'{"orderId": broken'


@pytest.fixture
def fleet(kafka: Kafka, postgres: Postgres, scratch: Path) -> Iterator[Fleet]:
    """The reference flow, without payment for now."""
    with open_fleet(kafka.bootstrap, postgres.admin_url, scratch) as fleet:
        names = [fleet.start(service.name) for service in fleet.flow.spec.services if service.name != "payment"]
        asyncio.run(fleet.until_ready("provider", *names))
        yield fleet


@pytest.fixture
async def shop(fleet: Fleet) -> AsyncIterator[Shop]:
    """A client of the fleet."""
    async with shop_of(fleet) as shop:
        yield shop


async def test_repaired_events_end_their_orders_once(fleet: Fleet, shop: Shop, tmp_path: Path) -> None:
    """Events broken on their way: repaired and redriven they end their orders, unrepaired they do not loop."""
    orders = await _break_on_the_way(fleet, shop)
    listed = command(fleet, "dead-letters list", "payment", "--export", "letters.ndjson", cwd=tmp_path)
    assert "3 dead letters" in listed
    _look_at_one(fleet, tmp_path)
    repairs = repair(tmp_path / "letters.ndjson", orders)

    assert "3 would be redriven" in command(fleet, "redrive", "payment", "--dry-run", cwd=tmp_path)
    assert await states(fleet, "payment") == [("Dead", 0)] * ORDERS

    assert "3 redriven, 0 refused" in command(fleet, "redrive", "payment", "--repair-with", repairs, cwd=tmp_path)
    for order in orders:
        assert (await shop.until(order))["state"] == "COMPLETED"
    assert await states(fleet, "payment") == [("Redriven", 1)] * ORDERS
    assert await states(fleet, "order") == [("Dead", 0)] * ORDERS, "redrives for others are passed over"

    again = command(fleet, "redrive", "payment", "--repair-with", repairs, cwd=tmp_path)
    assert again.count("redriven before") == ORDERS
    assert "0 redriven, 0 refused" in again
    assert "0 redriven, 0 refused" in command(fleet, "redrive", "payment", cwd=tmp_path)
    await _exhaust(fleet, tmp_path)
    await until_at_rest(fleet, ORDERS)
    await judge(fleet, dead_letters=2 * ORDERS)  # the order service's, and as many that notification heard broken


def _look_at_one(fleet: Fleet, cwd: Path) -> None:
    """See one as it came: masked, as nobody said what is personal in it, and as it is when that is asked for."""
    letter = json.loads((cwd / "letters.ndjson").read_text().splitlines()[0])
    masked = json.loads(command(fleet, "dead-letters get", "payment", letter["id"], "-o", "json", cwd=cwd))
    assert (masked["id"], masked["event"]["key"], masked["event"]["text"]) == (letter["id"], letter["key"], MASK)
    shown = json.loads(command(fleet, "dead-letters get", "payment", letter["id"], "-o", "json", "--unmask", cwd=cwd))
    assert shown["event"]["text"].encode() == BROKEN
    assert shown["reason"] == letter["reason"]


async def _exhaust(fleet: Fleet, cwd: Path) -> None:
    """Redrive the order service's letters unrepaired until the loop guard holds."""
    for count in range(1, MAX_REDRIVES + 1):
        assert "3 redriven, 0 refused" in command(fleet, "redrive", "order", cwd=cwd)
        dead_again = [("Dead", count)] * ORDERS
        await until(lambda dead=dead_again: _are(fleet, "order", dead), "the letters are dead again")
    refused = command(fleet, "redrive", "order", cwd=cwd, code=1)
    assert refused.count(f"redriven {MAX_REDRIVES} times and dead again: that is the limit") == ORDERS
    assert "0 redriven, 3 refused" in refused
    assert await states(fleet, "payment") == [("Redriven", 1)] * ORDERS


async def _are(fleet: Fleet, service: str, wanted: list[tuple[str, int]]) -> bool:
    return await states(fleet, service) == wanted


async def _break_on_the_way(fleet: Fleet, shop: Shop) -> dict[str, Any]:
    """Place orders and break the events that payment is to get; gives the events' data by order."""
    orders = [await shop.place() for _ in range(ORDERS)]
    for order in orders:
        await shop.until(order, "RESERVED")
    records = await replace_by_broken(fleet, topic_name(fleet.flow.metadata.name, "STOCK_RESERVED"))
    name = fleet.start("payment")
    await fleet.until_ready(name)
    for service in ("payment", "order"):
        await until(lambda service=service: _are(fleet, service, [("Dead", 0)] * ORDERS), f"dead letters of {service}")
    assert set(records) == set(orders)
    return records


async def replace_by_broken(fleet: Fleet, topic: str) -> dict[str, Any]:
    """Let payment begin behind the topic's records, and put broken copies there; gives what they held by key."""
    consumer = Consumer({"bootstrap.servers": fleet.bootstrap, "group.id": "test", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(PARTITIONS)])
    records = consumer.consume(ORDERS, timeout=30)
    consumer.close()
    producer = Producer({"bootstrap.servers": fleet.bootstrap})
    for number in range(PARTITIONS):
        mine = [record for record in records if record.partition() == number]
        skip = "INSERT INTO payment.offsets (topic, partition, next_offset) VALUES ($1, $2, $3)"
        await fleet.fetch(skip, topic, number, len(mine))
        for record in mine:
            producer.produce(topic, BROKEN, record.key(), partition=number, headers=record.headers())
    producer.flush(30)
    return {record.key().decode(): json.loads(record.value()) for record in records}


def repair(letters: Path, events: dict[str, Any]) -> str:
    """Write the right value into each exported letter, as a person would; gives the file's name."""
    exported = [json.loads(line) for line in letters.read_text().splitlines()]
    assert [line["text"].encode() for line in exported] == [BROKEN] * ORDERS
    repaired = letters.with_name("repaired.ndjson")
    repaired.write_text("".join(json.dumps(line | {"value": events[line["key"]]}) + "\n" for line in exported))
    return str(repaired)


async def states(fleet: Fleet, service: str) -> list[tuple[str, int]]:
    """The state and the number of redrives of each of a service's dead letters."""
    rows = await fleet.fetch(f'SELECT state, redrives FROM "{service}".dead_letters ORDER BY id')  # noqa: S608 - test names
    return [(row["state"], row["redrives"]) for row in rows]


def command(fleet: Fleet, name: str, service: str, *options: str, cwd: Path, code: int = 0) -> str:
    """Run the command with the service's own rights; gives its output."""
    database = fleet.env(service, f"{service}-0")[environment.DATABASE_URL]
    place = ["--flow", fleet.flow.metadata.name, "--bootstrap", fleet.bootstrap, "--database", database]
    done = orderflow(*name.split(), service, *place, *options, cwd=cwd)
    assert done.returncode == code, done.stdout
    return done.stdout
