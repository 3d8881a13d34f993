"""Timelines, dead letters and what waits, as the read model tells them; and who may read."""

import asyncio
import os
import signal
import time
import uuid

import asyncpg
import pytest

from orderflow_console.queries import database
from orderflow_console.queries.database import Database, open_database, snapshot
from orderflow_console.queries.dead_letters import (
    Condition,
    count_by_service,
    count_dead_letters,
    get_dead_letters,
    list_dead_letters,
)
from orderflow_console.queries.errors import InvalidQuestionError, ReadError, UnknownError
from orderflow_console.queries.in_flight import find_in_flight
from orderflow_console.queries.instances import InstanceFilter, list_instances
from orderflow_console.queries.timeline import get_timeline
from orderflow_console.queries.topics import subscribed_topics
from orderflow_console.queries.waiting import list_waiting
from orderflow_model.postgres_uri import PostgresUri
from orderflow_runtime.postgres.grants import grant_reading
from support.records.stored_orders import bury, order_id, park, set_state, store_orders
from support.tools.names import unique_name
from support.tools.portion import Portion


async def test_a_history_of_5000_steps_is_quick_page_by_page(admin: asyncpg.Connection, reads: Database) -> None:
    """A page of a long history comes in less than a second, and all pages are the whole, in order of time."""
    await admin.execute(
        """INSERT INTO payment.journal (key, at, what, type, attempt)
        SELECT 'k', now() - n * interval '1 s', 'FAILED', 'STOCK_RESERVED', n FROM generate_series(1, 5000) AS n"""
    )
    begun = time.perf_counter()
    page = await get_timeline(reads, "k", 0, 100)
    assert time.perf_counter() - begun < 1
    assert (len(page.steps), page.total, page.whole) == (100, 5000, True)
    steps = [step for start in range(0, 5000, 500) for step in (await get_timeline(reads, "k", start, 500)).steps]
    assert tuple(steps) == (await get_timeline(reads, "k")).steps
    assert [step.at for step in steps] == sorted(step.at for step in steps)
    with pytest.raises(UnknownError, match="nothing is known of nobody"):
        await get_timeline(reads, "nobody")


async def test_dead_letters_come_by_pages_and_are_counted_by_reason(admin: asyncpg.Connection, reads: Database) -> None:
    """All services' letters are one list, the oldest first, each once; they are counted by their reason."""
    await bury(admin, "payment", 70, "no such card")
    await bury(admin, "shipping", 50, "no such street")
    found, after = [], None
    while True:
        page = await list_dead_letters(reads, after=after, limit=25)
        found += page.items
        if (after := page.next) is None:
            break
    assert len({letter.id for letter in found}) == len(found) == 120
    assert [letter.died_at for letter in found] == sorted(letter.died_at for letter in found)
    groups = await count_dead_letters(reads)
    assert [(one.service, one.reason, one.letters) for one in groups] == [
        ("payment", "no such card", 70),
        ("shipping", "no such street", 50),
    ]
    street = [Condition("reason", True, "street")]
    assert len((await list_dead_letters(reads, None, street)).items) == 50
    assert await get_dead_letters(reads, "payment", street, None, None) == []
    paid = next(letter for letter in found if letter.service == "payment")
    assert await get_dead_letters(reads, "payment", (), [paid.id, uuid.uuid4()], None) == [paid]
    with pytest.raises(UnknownError, match="no service nobody"):
        await list_dead_letters(reads, "nobody")


async def test_all_dead_letters_are_counted_however_many_their_reasons(
    admin: asyncpg.Connection, reads: Database
) -> None:
    """Reasons name orders, so there are as many kinds as letters: a list of kinds has an end, the number has none."""
    await bury(admin, "payment", 300, "no such card")
    await admin.execute("UPDATE payment.dead_letters SET reason = id::text")
    assert len(await count_dead_letters(reads)) == 200
    counts = await count_by_service(reads)
    assert {service: letters for service, letters in counts.items() if letters} == {"payment": 300}


async def test_what_the_database_cannot_read_is_the_askers_fault(reads: Database) -> None:
    """A letter that no text of Postgres has is refused as a question, not told as a database that is away."""
    with pytest.raises(InvalidQuestionError, match="cannot read"):
        await list_instances(reads, InstanceFilter(customer="a\0b"))
    with pytest.raises(InvalidQuestionError, match="cannot read"):
        await list_dead_letters(reads, where=[Condition("key", False, "\udcff")])


async def test_a_database_that_stands_still_holds_nobody_up(reads: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question whose server is frozen ends, and the next one is asked on another connection."""
    monkeypatch.setattr(database, "_PATIENCE_SECONDS", 0.5)
    frozen = []

    async def ask_and_freeze() -> None:
        async with asyncio.timeout(10), snapshot(reads) as connection:
            frozen.append(await connection.fetchval("SELECT pg_backend_pid()"))
            os.kill(frozen[0], signal.SIGSTOP)
            await connection.fetchval("SELECT 1")

    try:
        with pytest.raises(ReadError, match="cannot be asked"):
            await ask_and_freeze()
        assert await count_by_service(reads)
    finally:
        os.kill(frozen[0], signal.SIGCONT)


async def test_many_dead_letters_and_waiting_events_are_quick(
    admin: asyncpg.Connection, reads: Database, chaos: Portion
) -> None:
    """Of a hundred thousand each (a tenth in `make test`), every first answer comes in less than a second."""
    count = chaos.size(100_000)
    await store_orders(admin, count)
    await bury(admin, "payment", count, "no such card")
    await admin.execute(
        """INSERT INTO payment.parked (topic, partition, key, type, headers, value, attempts, reason, due_at)
        SELECT 't', 0, order_id, 'STOCK_RESERVED', '', '', 2, 'away', now() FROM "order".orders"""
    )
    conditions = [Condition("reason", True, "card")]
    for ask in (
        lambda: list_dead_letters(reads),
        lambda: list_dead_letters(reads, "payment", conditions),
        lambda: count_dead_letters(reads),
        lambda: count_by_service(reads),
        lambda: list_waiting(reads),
        lambda: list_instances(reads, InstanceFilter(retrying=True)),
        lambda: list_instances(reads, InstanceFilter(retrying_because="never")),
    ):
        begun = time.perf_counter()
        await ask()
        assert time.perf_counter() - begun < 1


async def test_what_waits_is_told_by_reason(admin: asyncpg.Connection, reads: Database) -> None:
    """Retried events stand together by service, type and the first line of the reason."""
    for number in range(3):
        await park(admin, order_id(number), f"provider: away\nat {number}")
    await park(admin, order_id(9), "no such card")
    waiting = await list_waiting(reads)
    assert [(one.service, one.type, one.reason, one.events, one.keys) for one in waiting] == [
        ("payment", "STOCK_RESERVED", "provider: away", 3, 3),
        ("payment", "STOCK_RESERVED", "no such card", 1, 1),
    ]


async def test_what_is_in_flight_of_an_event_is_found_at_every_service(
    admin: asyncpg.Connection, reads: Database
) -> None:
    """Of a service all that it has begun, of others what they have of an event that goes; never of another event."""
    await park(admin, order_id(1), "away")
    await bury(admin, "shipping", 2, "no such street")
    (payment,) = await find_in_flight(reads, ["payment"])
    assert (payment.service, payment.parked, payment.keys) == ("payment", 1, (order_id(1),))
    (shipping,) = await find_in_flight(reads, [], ["ORDER_CREATED"])
    assert (shipping.service, shipping.dead_letters, shipping.parked) == ("shipping", 2, 0)
    assert await find_in_flight(reads, ["inventory", "nobody"], ["OUT_OF_STOCK"]) == ()


async def test_a_reader_sees_what_is_asked_for_and_nothing_of_people(
    admin: asyncpg.Connection, shop_database: str
) -> None:
    """A role with `grant_reading` alone answers every question, and reaches neither rows of services nor payloads."""
    await store_orders(admin, 20)
    await set_state(admin, order_id(2), "PAID", deadline=True)
    await park(admin, order_id(2), "away", b"secret")
    await bury(admin, "payment", 1, "no")
    reader = unique_name("reader")
    await admin.execute(f"CREATE ROLE {reader} LOGIN PASSWORD 'only-for-tests'")
    try:
        for schema in ("order", "inventory", "payment", "shipping", "notification"):
            await grant_reading(admin, schema, reader)
        uri = PostgresUri.parse(shop_database).for_role(reader, "only-for-tests")
        database = await open_database(uri)
        try:
            assert len((await list_instances(database, InstanceFilter(retrying=True))).items) == 1
            assert (await get_timeline(database, order_id(2))).state == "PAID"
            assert len((await list_dead_letters(database)).items) == len(await list_waiting(database)) == 1
            assert await subscribed_topics(database) == frozenset()
            for forbidden in ('"order".orders', "payment.payment", "notification.contacts", "payment.outbox"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await database.fetch(f"SELECT * FROM {forbidden}")  # noqa: S608 - fixed names
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await database.fetch("SELECT value FROM payment.parked")
        finally:
            await database.close()
    finally:
        await admin.execute(f"DROP OWNED BY {reader}; DROP ROLE {reader}")


async def test_a_database_that_is_away_is_said_in_words() -> None:
    """A question ends in a sentence that a person can act on, without the password."""
    database = await open_database(PostgresUri.parse("postgresql://me:secret@127.0.0.1:1/x"))
    with pytest.raises(ReadError, match="cannot be asked") as refused:
        await list_waiting(database)
    assert "secret" not in str(refused.value)
    await database.close()
