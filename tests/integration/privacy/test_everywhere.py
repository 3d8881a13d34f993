"""An erasure looks wherever the flow once wrote something: what left it, the console, indexes of words, the lake."""

import json
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Producer

from orderflow_cli.servers.kafka_mock import MockKafka
from orderflow_console.actions.jobs.store import JobStore, Result
from orderflow_console.actions.own_tables import OwnTables
from orderflow_contracts.flow_key import FlowKey, PersonKey
from orderflow_contracts.sealed import TEXT_KIND, Sealed
from orderflow_model.flow import OrderFlow
from orderflow_model.postgres_uri import PostgresUri
from orderflow_model.topics import event_topic, flow_topics
from orderflow_runtime.postgres.migrator import migrate
from orderflow_runtime.removal import remove
from support.flow.fleet import PASSWORD
from support.flow.orders import shop_flow
from support.flow.people import KEEPING, PRIVACY, SECRET, flow_file, privacy, texts_of

NUMBER, ORDER = 70, "order-70"
SUBJECT, EMAIL, NAME, *_ = texts_of(NUMBER)


@dataclass
class Site:
    """A flow that nothing runs: its database, and a Kafka with its topics. One person is known to it, by one order."""

    flow: OrderFlow
    bootstrap: str
    admin_url: str
    key: PersonKey

    def say(self, topic: str, data: bytes, event: str = "") -> None:
        """Write a record."""
        producer = Producer({"bootstrap.servers": self.bootstrap})
        producer.produce(topic, data, headers={"ce_type": event.encode()})
        assert producer.flush(20) == 0


@pytest.fixture
async def site(database: str, flow_name: str, tmp_path: Path) -> AsyncIterator[Site]:
    """The shop, its tables made, and its topics empty but for one record each."""
    flow = shop_flow(flow_name, privacy=PRIVACY, analytics=KEEPING)
    await migrate(database, flow, {service.name: PASSWORD for service in flow.services})
    flow_key, person = FlowKey(flow_name, SECRET), uuid.uuid4()
    wrapped = flow_key.new_key(person)
    (folder := tmp_path / "kafka").mkdir()
    kafka = MockKafka(folder)
    kafka.start()
    site = Site(flow, kafka.bootstrap, database, flow_key.unwrap(person, wrapped))
    for topic in flow_topics(flow):
        site.say(topic.name, b"{}")
    connection = await asyncpg.connect(database)
    hashed = flow_key.subject_hash(SUBJECT)
    await connection.execute("INSERT INTO privacy.keys VALUES ($1, $2, $3)", person, hashed, wrapped)
    await connection.execute("INSERT INTO privacy.records VALUES ($1, $2)", ORDER, person)
    await connection.close()
    yield site
    kafka.stop()
    await remove(database, flow_name, [])


@pytest.fixture
async def admin(site: Site) -> AsyncIterator[asyncpg.Connection]:
    """The flow's database, as its admin."""
    connection = await asyncpg.connect(site.admin_url)
    yield connection
    await connection.close()


def sealed(site: Site, event: str, name: str, text: str) -> bytes:
    """Give an event's data with one text sealed."""
    flow_key = FlowKey(site.flow.metadata.name, SECRET)
    content = flow_key.seal(site.key, json.dumps(text).encode(), event, f"/{name}")
    return json.dumps({name: str(Sealed(TEXT_KIND, site.key.person, content))}).encode()


def write(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write a file of a lake's table."""
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), folder / "part-0.parquet")


async def leave(site: Site, admin: asyncpg.Connection) -> None:
    """Leave what a service once kept that has left the flow: a letter, a table of its own, and the words of a note."""
    owner = await admin.fetchval("SELECT obj_description('privacy'::regnamespace, 'pg_namespace')")
    await admin.execute(f"""
        CREATE SCHEMA gone; COMMENT ON SCHEMA gone IS '{owner}';
        CREATE TABLE gone.letters (key text, reason text); CREATE TABLE gone.notes (key text, words tsvector)""")
    await admin.execute("INSERT INTO gone.letters VALUES ($1, $2)", ORDER, f"no mail to {EMAIL}")
    note = f"please call {NAME} about his running orders"
    await admin.execute("INSERT INTO gone.notes VALUES ($1, to_tsvector('german', $2))", ORDER, note)
    site.say(f"{site.flow.metadata.name}.gone.dead-letters", json.dumps({"who": SUBJECT}).encode())


async def test_a_person_is_looked_for_where_nothing_of_the_resource_leads_any_more(
    site: Site, admin: asyncpg.Connection, tmp_path: Path
) -> None:
    """A service's schema and topics outlive it; what the log has lost is opened from Postgres and lake."""
    site.say(event_topic(site.flow, site.flow.spec.events[0]).name, sealed(site, "NEW", "email", EMAIL), "NEW")
    site.say(event_topic(site.flow, site.flow.spec.events[0]).name, sealed(site, "NEW", "name", NAME), "NEW")
    await leave(site, admin)
    await admin.execute(
        "INSERT INTO raw.events VALUES (now(), 1, 'OLD', '/x', 'e1', 1, $1, now(), $2)",
        *(ORDER, sealed(site, "OLD", "nickname", "Nickel-70")),
    )
    write(
        tmp_path / "lake" / "raw" / "event_type=OLDER" / "stored_date=2020-01-01",
        [{"event_key": ORDER, "data": sealed(site, "OLDER", "petname", "Pet-70")}],
    )
    write(tmp_path / "lake" / "quarantine" / "event_type=OLD", [{"event_key": ORDER, "data": SUBJECT.encode()}])
    write(tmp_path / "lake" / "serving" / "odd", [{"nick": "Nickel-70", "pet": "Pet-70"}])
    tables = OwnTables(PostgresUri.parse(site.admin_url))
    jobs = JobStore(tables)
    asked = {"service": "payment", "reason": f"mail to {EMAIL}", "key": ORDER}
    job = await jobs.create("redrive", "payment", asked, "ada", [Result("i1", f"{NAME} moved")])

    done = privacy(site, tmp_path, "erase", SUBJECT, str(flow_file(site, tmp_path)), "--yes")
    report = json.loads(done.stdout)
    assert (done.returncode, report["clean"]) == (1, False), "what nobody removes for it is told, not passed over"
    assert {"/nickname", "/petname", "/email", "/name"} <= set(report["looked_for"])
    found = {place["place"]: place for place in report["places"] if place["own"] or place["others"]}
    left = f"topic {site.flow.metadata.name}.gone.dead-letters"
    assert set(found) == {
        "table gone.letters",
        "table gone.notes",
        left,
        "lake quarantine/event_type=OLD",
        "lake serving/odd",
    }
    assert found["table gone.notes"]["own"] == {"/name": 1}
    assert found["lake serving/odd"]["others"] == {"/nickname": 1, "/petname": 1}
    told = {place["place"]: place["sealed"] for place in report["places"]}
    assert told["lake raw/event_type=OLDER/stored_date=2020-01-01"] == 1
    assert sum(count for name, count in told.items() if name.startswith("table raw.events")) >= 1
    kept = await jobs.get(job)
    assert kept.asked == {"service": "payment", "reason": "erased@erased.invalid", "key": "erased@erased.invalid"}
    assert [one.refused for one in await jobs.refusals(job, "", 10)] == ["erased@erased.invalid"]
    tables.close()
