"""A sink's table without a sink: a migrated schema `raw`, into which a test puts events as the sink does."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pyarrow as pa
import yaml
from deltalake import DeltaTable

from orderflow_analytics.lake.stored_events import COLUMNS as STORED
from orderflow_analytics.lake.stored_events import as_raw
from orderflow_analytics.lake.zones import RAW, Lake
from orderflow_analytics.sink.handlers import COLUMNS, TABLE
from orderflow_contracts.event import Event
from orderflow_model import environment
from orderflow_model.loading.load import load_flow
from orderflow_runtime.postgres.migrator import migrate
from orderflow_shop.events import PaymentRefunded
from support.analytics import killed_run
from support.flow.orders import SHOP

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Stored(NamedTuple):
    """One event, as the sink writes it."""

    type: str
    source: str
    id: str
    version: int
    key: str
    time: datetime
    data: bytes


def cancelled(order_id: str, time: datetime = NOON, version: int = 1, **data: Any) -> Stored:
    """Return an ORDER_CANCELLED, sound but for what `data` says."""
    customer = {"id": "c1", "email": "ann@example.org", "name": "Ann"}
    body = {"orderId": order_id, "reason": "CUSTOMER", "customer": customer, "attempt": 1} | data
    return Stored(
        "ORDER_CANCELLED", "/shop/order", uuid.uuid4().hex, version, order_id, time, json.dumps(body).encode()
    )


def told(event: Event, time: datetime = NOON) -> Stored:
    """Return an event as its service would have told it."""
    return Stored(event.TYPE, "/shop/x", uuid.uuid4().hex, event.VERSION, event.key, time, event.encode())


def refunded(order_id: str, amount: int) -> Stored:
    """Return a PAYMENT_REFUNDED."""
    return told(PaymentRefunded(order_id=order_id, amount=amount, currency="EUR"))


@dataclass
class Site:
    """A database with the sink's table, a flow that names contracts, and a lake in a folder."""

    admin_url: str
    folder: Path
    analytics: dict[str, Any] = field(default_factory=dict)
    name: str = "shop"
    lake: Path = field(init=False)
    place: str = field(init=False)

    def __post_init__(self) -> None:
        """Write the flow's file, of this name; `analytics` says more than that its contracts are the shop's."""
        self.lake, self.flow = self.folder / "lake", self.folder / "flow.yaml"
        self.place = "lake"  # seen from the folder
        document = yaml.safe_load(SHOP.read_text())
        document["metadata"]["name"] = self.name
        document["spec"]["analytics"] = {"image": "orderflow/services:dev", "contracts": "orderflow_shop.events"}
        document["spec"]["analytics"] |= self.analytics
        self.flow.write_text(yaml.safe_dump(document))

    async def prepare(self) -> None:
        """Make the sink's schema."""
        flow = load_flow(self.flow)
        await migrate(self.admin_url, flow, {service.name: "only-for-tests" for service in flow.services})

    async def put(self, *batches: Sequence[Stored]) -> None:
        """Store events, each batch in a transaction of its own, as a sink would."""
        connection = await asyncpg.connect(self.admin_url, server_settings={"search_path": "raw"})
        try:
            for batch in batches:
                await connection.copy_records_to_table(TABLE, records=batch, columns=COLUMNS)
        finally:
            await connection.close()

    async def put_on(self, day: date, *events: Stored) -> None:
        """Store events as a sink did on a day, which has its partition."""
        connection = await asyncpg.connect(self.admin_url, server_settings={"search_path": "raw", "timezone": "UTC"})
        name = f"events_{day:%Y%m%d}"
        try:
            await connection.execute(
                f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF events"
                f" FOR VALUES FROM ('{day}') TO ('{day + timedelta(days=1)}')"
            )
            await connection.execute(
                "INSERT INTO events (stored_at, type, source, id, version, key, time, data) SELECT $8, t.* FROM"
                " unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::timestamptz[], $7::bytea[]) t",
                *map(list, zip(*events, strict=True)),
                datetime.combine(day, time(12), UTC),
            )
        finally:
            await connection.close()

    async def fetch(self, query: str) -> list[Any]:
        """Ask the flow's database as its admin."""
        connection = await asyncpg.connect(self.admin_url, server_settings={"search_path": "raw"})
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()

    def run(self, *kill: str) -> subprocess.CompletedProcess[str]:
        """Run the analytics once, killed where `kill` says."""
        run = self.start(*([killed_run.__file__, *kill] if kill else []))
        out, err = run.communicate(timeout=240)
        return subprocess.CompletedProcess(run.args, run.returncode, out, err)

    def start(self, *program: str, by: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start a run of the analytics, or of a program that makes one; `by` is a command that is given its command."""
        env = os.environ | {environment.LAKE: self.place, environment.DATABASE_URL: self.admin_url}
        command = [*by, sys.executable, *(program or ["-m", "orderflow_analytics"]), "run", str(self.flow)]
        return subprocess.Popen(
            command, env=env, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def die(self, when: str, number: int) -> None:
        """Run the analytics and kill it at a commit, to which it has to come."""
        done = self.run(when, str(number))
        assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return what a table of the lake holds; nothing where it is not there."""
        place = self.lake / table
        rows: list[dict[str, Any]] = DeltaTable(place).to_pyarrow_table().to_pylist() if place.exists() else []
        return rows

    def versions(self) -> dict[str, int]:
        """Return the version of every table."""
        logs = self.lake.glob("**/_delta_log")
        return {str(log.parent.relative_to(self.lake)): DeltaTable(log.parent).version() for log in logs}


async def ran(site: Site) -> str:
    """Run the analytics, which has to end well; return what it said."""
    done = await asyncio.to_thread(site.run)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ids(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Return the ids of events, in order."""
    return sorted(row["event_id"] for row in rows)


def put(lake: Lake, batch: int, *data: bytes, times: Sequence[datetime] = (), ids: Sequence[str] = ()) -> None:
    """Add one batch of ASKED to the raw zone, of these times or all of noon, with these ids or new ones."""
    names = ids or [f"e{batch}-{number}" for number in range(len(data))]
    told = zip(names, data, times or [NOON] * len(data), strict=True)
    events = [Stored("ASKED", "/s", name, 1, "k", time, body) for name, body, time in told]
    put_events(lake, batch, events)


def put_events(lake: Lake, batch: int, events: Sequence[Stored]) -> None:
    """Add one batch of events to the raw zone, stored at noon."""
    lake.raw().append(
        as_stored([one._asdict() | {"stored_at": NOON, "batch": batch} for one in events]), position=batch
    )


def as_stored(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Return rows of the sink's table as the raw zone has them."""
    told = [{name: row[column] for name, column in STORED.items()} for row in rows]
    return as_raw(pa.Table.from_pylist(told, schema=pa.schema([RAW.field(name) for name in STORED])))
