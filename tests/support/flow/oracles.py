"""The oracles of a fleet at rest: what its database, its topics and the provider must agree on, order by order.

`until_at_rest` waits until nothing is owed and nothing unread; `judge` then raises AssertionError with all that is
wrong. Both look at every order the fleet has ever had, so that a test also finds what an earlier one left behind.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import aiohttp
import asyncpg
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from orderflow_cli.servers.kafka_admin import admin_client
from orderflow_cli.shop import invariants
from orderflow_model.names import schema_name
from orderflow_model.service_part import service_config
from orderflow_model.topics import event_topic
from support.flow.fleet import Fleet, until

ONCE = ("ORDER_CREATED", "STOCK_RESERVED", "OUT_OF_STOCK", "PAYMENT_PROCESSED", "SHIPMENT_CREATED", "ORDER_COMPLETED")
"""Events that an order has at most once, whatever happens: a second one, with an id of its own, is a double effect."""


@dataclass
class Wire:
    """What is in the flow's topics: the ids of the events of each type and key, and how far each partition is read."""

    ids: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    read: dict[tuple[str, int], int] = field(default_factory=dict)

    @property
    def records(self) -> int:
        """Count the records, repeats included."""
        return sum(self.read.values())

    def of(self, types: Collection[str]) -> int:
        """Count the different events of these types."""
        return sum(len(ids) for (kind, _), ids in self.ids.items() if kind in types)


_LEADERLESS_SECONDS = 30.0
_NOT_LEADING_YET = {
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
}
_WIRES: WeakKeyDictionary[Fleet, Wire] = WeakKeyDictionary()


async def until_at_rest(fleet: Fleet, orders: int, seconds: float = 120) -> None:
    """Wait until so many orders have ended, no service owes anything, and every record is handled."""

    async def resting() -> bool:
        connection = await asyncpg.connect(fleet.admin_url)
        try:
            if sum((await invariants.order_states(connection)).values()) < orders:
                return False
            return await _nothing_moves(fleet, connection)
        finally:
            await connection.close()

    try:
        await until(resting, "", seconds, every=0.25)
    except AssertionError:
        raise AssertionError(f"not at rest in {seconds} s: {await describe(fleet)}") from None


async def until_read(fleet: Fleet, seconds: float = 60) -> None:
    """Wait until every record that is there now is handled."""
    connection = await asyncpg.connect(fleet.admin_url)
    ends = _ends(fleet)

    async def read() -> bool:
        return not await unread(fleet, connection, ends)

    try:
        await until(read, "all is read", seconds, every=0.25)
    finally:
        await connection.close()


async def _nothing_moves(fleet: Fleet, connection: asyncpg.Connection) -> bool:
    """All is read, then nothing is owed, and nothing was published meanwhile: else an event was between the looks."""
    before = _ends(fleet)
    if await unread(fleet, connection, before) or not await invariants.at_rest(connection, fleet.flow):
        return False
    return _ends(fleet) == before


async def describe(fleet: Fleet) -> str:
    """Say what keeps a fleet from resting."""
    connection = await asyncpg.connect(fleet.admin_url)
    try:
        states = await invariants.order_states(connection)
        debts = await invariants.owed(connection, fleet.flow)
        open_orders = await connection.fetch(
            'SELECT order_id, state, undo, history FROM "order".orders WHERE NOT state = ANY($1) LIMIT 3',
            ["COMPLETED", "CANCELLED"],
        )
        left = await unread(fleet, connection)
        return f"{states}; owed {debts}; unread {left}; e.g. {[dict(o) for o in open_orders]}"
    finally:
        await connection.close()


async def unread(
    fleet: Fleet, connection: asyncpg.Connection, ends: Mapping[tuple[str, int], int] | None = None
) -> dict[str, int]:
    """How many records each service has still to handle: the topics' ends less the stored offsets; only those not 0."""
    ends = ends or _ends(fleet)
    behind = {}
    for service in fleet.flow.services:
        rows = await connection.fetch(f'SELECT * FROM "{schema_name(service.name)}".offsets')  # noqa: S608 - a fixed name
        stored = {(row["topic"], row["partition"]): row["next_offset"] for row in rows}
        topics = {channel.topic for channel in service_config(fleet.flow, service.name).subscribes}
        left = sum(end - stored.get(at, 0) for at, end in ends.items() if at[0] in topics)
        if left:
            behind[service.name] = left
    return behind


def read_wire(fleet: Fleet) -> Wire:
    """Read what the flow's event topics hold; what an earlier look has read is remembered."""
    wire = _WIRES.setdefault(fleet, Wire())
    ends = {at: end for at, end in _ends(fleet).items() if end > wire.read.get(at, 0)}
    left = sum(end - wire.read.get(at, 0) for at, end in ends.items())
    consumer, give_up = _consumer(fleet), time.monotonic() + 60
    try:
        consumer.assign([TopicPartition(*at, wire.read.get(at, 0)) for at in ends])
        while left > 0 and time.monotonic() < give_up:
            for record in consumer.consume(5000, timeout=1):
                _note(wire, record)
                left -= 1
    finally:
        consumer.close()
    assert left <= 0, f"{left} records could not be read"
    return wire


def _note(wire: Wire, record: Message) -> None:
    headers = dict(record.headers() or ())
    kind, event_id = headers.get("ce_type", b"").decode(), headers.get("ce_id", b"").decode()
    wire.ids[kind, (record.key() or b"").decode(errors="replace")].add(event_id)
    wire.read[record.topic(), record.partition()] = record.offset() + 1


async def judge(fleet: Fleet, *, dead_letters: int = 0, foreign: Iterable[str] = ()) -> str:
    """Raise AssertionError with every finding; give the figures in a line. `foreign`: what the test published."""
    connection = await asyncpg.connect(fleet.admin_url)
    try:
        wrong = [f"{f.name}: {f.figures}" for f in await invariants.check(connection, fleet.flow) if not f.holds]
        for name, query in _PER_ORDER.items():
            if rows := await connection.fetch(query):
                wrong.append(f"{name}: {len(rows)} orders, e.g. {dict(rows[0])}")
        letters = sum((await invariants.dead_letters(connection, fleet.flow)).values())
        if letters != dead_letters:
            wrong.append(f"{letters} dead letters: {await invariants.dead_letters(connection, fleet.flow)}")
        wire = read_wire(fleet)
        wrong += _doubles(wire)
        wrong += await _lost(fleet, connection, wire, frozenset(foreign))
        wrong += await _provider(fleet, connection)
        states = await invariants.order_states(connection)
    finally:
        await connection.close()
    assert not wrong, "\n".join(wrong)
    return f"{states}; {wire.records} records, {wire.of({k for k, _ in wire.ids})} events, {letters} dead letters"


def _doubles(wire: Wire) -> list[str]:
    twice = {at: ids for at, ids in wire.ids.items() if at[0] in ONCE and len(ids) > 1}
    return [f"done twice: {len(twice)}, e.g. {next(iter(twice.items()))}"] if twice else []


async def _lost(fleet: Fleet, connection: asyncpg.Connection, wire: Wire, foreign: frozenset[str]) -> list[str]:
    """Each service's inbox holds exactly the different events of its topics."""
    wrong = []
    for service in fleet.flow.services:
        if foreign & set(service.subscribes):
            continue
        inbox = f'"{schema_name(service.name)}".inbox'
        taken = await connection.fetchval(f"SELECT count(*) FROM {inbox}")  # noqa: S608 - a fixed name
        if taken != (there := wire.of(service.subscribes)):
            wrong.append(f"{service.name} took in {taken} of {there} events")
    return wrong


async def _provider(fleet: Fleet, connection: asyncpg.Connection) -> list[str]:
    """What the provider itself booked is what payment believes."""
    async with aiohttp.ClientSession() as http, http.get(fleet.url("provider", "/ledger")) as answer:
        ledger = await answer.json()
    ours = await connection.fetchrow(
        "SELECT coalesce(sum(captured), 0)::bigint AS captured, coalesce(sum(refunded), 0)::bigint AS refunded,"
        " count(*) FILTER (WHERE captured > 0) AS payments FROM payment.payment"
    )
    theirs = {
        "captured": sum(ledger["captured"].values()),
        "refunded": sum(ledger["refunded"].values()),
        "payments": ledger["payments"],
    }
    return [] if dict(ours) == theirs else [f"the provider booked {theirs}, payment {dict(ours)}"]


def _ends(fleet: Fleet) -> dict[tuple[str, int], int]:
    """Give the end offset of every partition that the flow's event topics have now."""
    admin = admin_client(fleet.bootstrap)
    topics = admin.list_topics(timeout=20).topics
    wanted = {
        TopicPartition(name, number): OffsetSpec.latest()
        for name in (event_topic(fleet.flow, event).name for event in fleet.flow.spec.events)
        for number in topics[name].partitions
    }
    return _latest(admin, wanted, time.monotonic() + _LEADERLESS_SECONDS)


def _latest(admin: AdminClient, wanted: dict[TopicPartition, OffsetSpec], give_up: float) -> dict[tuple[str, int], int]:
    """Ask for the ends, again while a broker that has just come back is not yet leader of what it is to lead."""
    while True:
        found = admin.list_offsets(wanted, request_timeout=20)
        try:
            return {(at.topic, at.partition): future.result(20).offset for at, future in found.items()}
        except KafkaException as problem:
            if problem.args[0].code() not in _NOT_LEADING_YET or time.monotonic() > give_up:
                raise
        time.sleep(0.25)


def _consumer(fleet: Fleet) -> Consumer:
    return Consumer({"bootstrap.servers": fleet.bootstrap, "group.id": "oracle", "enable.auto.commit": False})


_ALL_OF_IT = """
SELECT order_id, o.state, o.amount, o.undo, p.state AS payment, p.captured, p.refunded, r.state AS stock,
       s.state AS shipment, s.value
FROM "order".orders AS o
LEFT JOIN payment.payment AS p USING (order_id)
LEFT JOIN shipping.shipment AS s USING (order_id)
LEFT JOIN inventory.reservation AS r USING (order_id)
WHERE """
_PER_ORDER = {
    "captured is shipped or refunded": _ALL_OF_IT
    + """o.state <> 'COMPENSATION_FAILED' AND coalesce(p.captured, 0) <>
      coalesce(p.refunded, 0) + coalesce(s.value, 0) * (s.state IS NOT DISTINCT FROM 'CREATED')::int""",
    "completed means paid, sold and shipped": _ALL_OF_IT
    + """o.state = 'COMPLETED'
      AND (p.state, s.state, r.state, p.captured) IS DISTINCT FROM ('CAPTURED', 'CREATED', 'SOLD', o.amount)""",
    "cancelled means nothing kept, held or on its way": _ALL_OF_IT
    + """o.state = 'CANCELLED' AND (o.undo <> '{}' OR p.state IN ('PENDING', 'CAPTURED', 'REFUNDING')
      OR s.state = 'CREATED' OR r.state IN ('RESERVED', 'SOLD'))""",
    "history says each thing once": """
        SELECT order_id, e ->> 'what' AS what, count(*) AS times
        FROM "order".orders, jsonb_array_elements(history) AS e
        WHERE e ->> 'what' <> ALL ('{ORDER_CANCELLED,PAYMENT_FAILED,PAYMENT_REFUNDED,STOCK_RESTORED,DEADLINE_PASSED}')
           OR (attempt < 2 AND e ->> 'what' <> 'DEADLINE_PASSED')
        GROUP BY 1, 2 HAVING count(*) > 1""",
    "told of its beginning and end": """
        SELECT order_id, o.state, o.reason, array_agg(n.kind) AS told
        FROM "order".orders AS o LEFT JOIN notification.notifications AS n USING (order_id)
        GROUP BY 1, 2, 3
        HAVING NOT coalesce(array_agg(n.kind) @> CASE coalesce(o.reason, o.state)
          WHEN 'PAYMENT_DECLINED' THEN '{ORDER_CREATED,PAYMENT_FAILED}'::text[]
          WHEN 'COMPLETED' THEN '{ORDER_CREATED,STOCK_RESERVED,PAYMENT_PROCESSED,INVENTORY_UPDATED,SHIPMENT_CREATED,
            ORDER_COMPLETED}'::text[]
          ELSE '{ORDER_CREATED,ORDER_CANCELLED}'::text[] END, false)
          OR array_agg(n.kind) @> '{ORDER_COMPLETED,ORDER_CANCELLED}'::text[]""",
    "notices that wait for ever": "SELECT order_id, kind FROM notification.waiting",
}
