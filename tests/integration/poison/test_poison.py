"""Hostile records on the real topics among healthy orders: each becomes a dead letter, and nobody else notices."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import pytest
from aiokafka.errors import MessageSizeTooLargeError
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from prometheus_client.parser import text_string_to_metric_families

from bench.cost import read
from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.postgres import Postgres
from orderflow_contracts import dead_letters
from orderflow_contracts.dead_letters import REDRIVE_OF
from orderflow_contracts.envelope import Header
from orderflow_model.names import dead_letter_topic_name
from orderflow_model.service_part import service_config
from orderflow_model.topics import event_topic
from orderflow_runtime.core.headers import MAX_HEADERS
from support.flow.fleet import Fleet, until
from support.flow.orders import Shop, open_fleet, order, shop_of, start_all
from support.records.poison import (
    Poisoner,
    Wire,
    above_the_limit,
    healthy_events,
    poison,
    read_topic,
)
from support.tools.portion import Portion

POISONED = 1_000
ROUNDS = 3
ORDERS = 200
RATE = 40.0
"""Orders a second, by their intended time: a rate that the five services carry on two shared cores."""

At = tuple[str, int, int]


@pytest.fixture
def fleet(kafka: Kafka, postgres: Postgres, scratch: Path) -> Iterator[Fleet]:
    """The reference flow, prepared but for its services."""
    with open_fleet(kafka.bootstrap, postgres.admin_url, scratch) as fleet:
        yield fleet


def topics_of(fleet: Fleet) -> dict[str, str]:
    """Event type → topic."""
    return {event.name: event_topic(fleet.flow, event).name for event in fleet.flow.spec.events}


async def letters_of(fleet: Fleet, service: str) -> list[dict[str, Any]]:
    """A service's dead letters: their headers by name, and all of the record."""
    records = await read_topic(fleet.bootstrap, dead_letter_topic_name(fleet.flow.metadata.name, service))
    return [dict(record.headers) | {"record": record} for record in records]


def origin(letter: dict[str, Any]) -> At:
    """Where a dead letter was."""
    return letter[dead_letters.TOPIC].decode(), int(letter[dead_letters.PARTITION]), int(letter[dead_letters.OFFSET])


def is_kept(sent: Wire, record: Any) -> bool:
    """Whether a dead letter has all of the record but for headers in excess; a null value stands as an empty one."""
    ours = [(name, value) for name, value in record.headers if not name.startswith(dead_letters.PREFIX)]
    theirs = [(name.encode().decode(errors="backslashreplace"), value) for name, value in sent.headers[:MAX_HEADERS]]
    return (record.key, record.value or b"", ours) == (sent.key, sent.value or b"", theirs)


async def place_steadily(shop: Shop, count: int) -> list[str]:
    """Place orders one by one at their intended times, however long the others take."""
    start = time.monotonic()

    async def place(number: int) -> str:
        await asyncio.sleep(max(0.0, start + number / RATE - time.monotonic()))
        return await shop.place(lines=[(f"SKU-{number % 100 + 1:04}", 1, 100)])

    return await asyncio.gather(*(place(number) for number in range(count)))


async def until_completed(fleet: Fleet, orders: list[str]) -> None:
    """Wait until all of these orders are completed."""
    query = 'SELECT 1 FROM "order".orders WHERE order_id = ANY($1) AND state <> $2'

    async def ended() -> bool:
        return not await fleet.fetch(query, orders, "COMPLETED")

    await until(ended, f"{len(orders)} orders completed", 120)


@dataclass(frozen=True)
class Work:
    """What the services have done: CPU seconds, events handled, events buried, and events repeated."""

    cpu: float
    handled: float
    dead: float
    repeated: float

    def since(self, before: "Work") -> "Work":
        """Return the difference."""
        return Work(*(now - then for now, then in zip(astuple(self), astuple(before), strict=True)))

    @property
    def cost(self) -> float:
        """CPU seconds for an event, be it handled or buried."""
        return self.cpu / (self.handled + self.dead)


async def work(fleet: Fleet) -> Work:
    """Read the services' CPU clocks and counters; a repeated event was attempted again or put aside for later."""
    pids = {name: process.pid for name, process in fleet.processes.items() if name != "provider"}
    counts: Counter[str] = Counter()
    async with aiohttp.ClientSession() as http:
        for name in pids:
            async with http.get(fleet.url(name, "/metrics")) as answer:
                for family in text_string_to_metric_families(await answer.text()):
                    counts[family.name] += sum(s.value for s in family.samples if s.name.endswith("_total"))
    handled, dead, retried, parked = (
        counts[f"orderflow_events_{what}"] for what in ("processed", "dead", "retried", "parked")
    )
    return Work(read(pids).total, handled, dead, retried + parked)


@asynccontextmanager
async def poisoning(poisoner: Poisoner, wires: list[Wire], seconds: float) -> AsyncIterator[dict[At, Wire]]:
    """Spread records over so many seconds beside the block; give what was sent and where it is."""
    sent: dict[At, Wire] = {}

    async def spread() -> None:
        start = time.monotonic()
        for number, wire in enumerate(wires):
            await asyncio.sleep(max(0.0, start + number * seconds / len(wires) - time.monotonic()))
            sent[await poisoner.send(wire)] = wire

    task = asyncio.create_task(spread())
    try:
        yield sent
        await task
    finally:
        task.cancel()


@pytest.mark.timeout(420)
async def test_a_thousand_poisoned_records_become_dead_letters_and_hold_up_no_order(
    fleet: Fleet, chaos: Portion
) -> None:
    """Each subscriber buries each poisoned record once, whole and with a reason. No healthy event is tried again or put
    aside for it, and an event, poisoned ones included, takes at most twice the work.
    """
    await asyncio.to_thread(start_all, fleet)
    all_wires = list(poison(POISONED, topics_of(fleet)))
    random.Random(4).shuffle(all_wires)
    wires, rounds = chaos.turns(all_wires), chaos.size(ROUNDS)
    quiet, poisoned, sent = [], [], {}
    async with shop_of(fleet) as shop, Poisoner(fleet.bootstrap) as poisoner:
        await until_completed(fleet, await place_steadily(shop, ORDERS))
        for turn in range(rounds):
            began = await work(fleet)
            await until_completed(fleet, await place_steadily(shop, ORDERS))
            between = await work(fleet)
            async with poisoning(poisoner, wires[turn::rounds], ORDERS / RATE) as where:
                orders = await place_steadily(shop, ORDERS)
            await until_completed(fleet, orders)
            sent |= where
            await all_buried(fleet, sent)
            quiet.append(between.since(began))
            poisoned.append((await work(fleet)).since(between))
        with pytest.raises(MessageSizeTooLargeError):
            await poisoner.send(above_the_limit(healthy_events("poisoned")[0], topics_of(fleet)["ORDER_CREATED"]))
    assert len(sent) == len(wires)
    print(f"\n{len(sent)} poisoned: {quiet} without, {poisoned} with")
    assert not sum(done.repeated for done in poisoned)
    assert median(done.cost for done in poisoned) <= 2 * median(done.cost for done in quiet)


async def all_buried(fleet: Fleet, sent: dict[At, Wire]) -> None:
    """Wait until the dead letters are those records, and check each."""
    for service in fleet.flow.spec.services:
        topics = {channel.topic for channel in service_config(fleet.flow, service.name).subscribes}
        expected = {at: wire for at, wire in sent.items() if at[0] in topics}

        async def buried(name: str = service.name, count: int = len(expected)) -> bool:
            return (await fleet.fetch(f'SELECT count(*) AS n FROM "{name}".dead_letters'))[0]["n"] >= count  # noqa: S608 - services' names

        await until(buried, f"{len(expected)} dead letters of {service.name}", 120)
        await until(lambda name=service.name: outbox_is_empty(fleet, name), "all is published")
        found = await letters_of(fleet, service.name)
        assert sorted(map(origin, found)) == sorted(expected)
        for letter in found:
            wire = expected[origin(letter)]
            assert letter[dead_letters.REASON], wire.kind
            assert letter[dead_letters.ATTEMPTS] == b"0", wire.kind
            assert is_kept(wire, letter["record"]), (wire.kind, letter["record"].headers[:12])


async def outbox_is_empty(fleet: Fleet, service: str) -> bool:
    """Whether a service owes nothing."""
    return (await fleet.fetch(f'SELECT count(*) AS n FROM "{service}".outbox'))[0]["n"] == 0  # noqa: S608 - services' names


async def test_repaired_records_end_their_orders_when_redriven(fleet: Fleet) -> None:
    """Orders whose ORDER_CREATED was garbled on its way complete when both subscribers' letters are redriven."""
    first = fleet.start("order")
    await fleet.until_ready("provider", first)
    async with shop_of(fleet) as shop, Poisoner(fleet.bootstrap) as poisoner:
        placed = await shop.place_all([order() for _ in range(20)])
        originals = await take_off(fleet, topics_of(fleet)["ORDER_CREATED"], len(placed))
        for record in originals.values():
            await poisoner.send(Wire("garbled", record.topic, record.key, record.headers, record.value[:-7]))
        names = [fleet.start(s.name) for s in fleet.flow.spec.services if s.name != "order"]
        await fleet.until_ready(*names)
        for service in ("notification", "inventory"):
            for letter in await eventually(fleet, service, len(placed)):
                back: list[Header] = [(REDRIVE_OF, letter[dead_letters.LETTER_ID])]
                record = originals[letter["record"].key]
                await poisoner.send(Wire("repaired", record.topic, record.key, [*record.headers, *back], record.value))
        for order_id in placed:
            assert (await shop.until(order_id))["state"] == "COMPLETED"
    told = "SELECT 1 FROM notification.notifications WHERE kind = 'ORDER_CREATED' AND order_id = ANY($1)"
    await until(lambda: has_rows(fleet, told, placed), "all customers are told once")
    states = await fleet.fetch("SELECT state, redrives FROM inventory.dead_letters")
    assert [tuple(row) for row in states] == [("Redriven", 1)] * len(placed)


async def has_rows(fleet: Fleet, query: str, keys: list[str]) -> bool:
    """Whether there is a row for each key."""
    return len(await fleet.fetch(query, keys)) == len(keys)


async def eventually(fleet: Fleet, service: str, count: int) -> list[dict[str, Any]]:
    """Wait for so many dead letters in a service's topic."""
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        found[:] = await letters_of(fleet, service)
        return len(found) == count

    await until(there, f"{count} dead letters of {service}")
    return found


async def take_off(fleet: Fleet, topic: str, count: int) -> dict[bytes, Any]:
    """Take all records off a topic before anybody reads them; give them by key."""
    found: list[Any] = []

    async def there() -> bool:
        found[:] = await read_topic(fleet.bootstrap, topic)
        return len(found) == count

    await until(there, f"{count} records in {topic}")
    ends = {record.partition: record.offset + 1 for record in found}
    admin = AdminClient({"bootstrap.servers": fleet.bootstrap})
    for future in admin.delete_records([TopicPartition(topic, n, end) for n, end in ends.items()]).values():
        await asyncio.to_thread(future.result)
    return {record.key: record for record in found}
