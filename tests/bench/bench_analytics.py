"""What the way into the lake costs, against what it stands on alone: `make bench-analytics` runs it.

`bench_analytics.py [--events N] [--output FILE]` writes artifacts/bench-analytics.json and prints it. Ours and the
limit take turns, so that both see the same of what else the machine does; told are medians.

- `copy`: the sink's handler in transactions of 500 events, against one COPY of the same bytes into the same table.
- `sink`: its whole process, from Kafka, against the same.
- `export`: from Postgres to the raw zone, against one write of the same rows, held in memory, by deltalake; and against
  a script that fetches the same rows and writes them so.
- `marts`: a whole run, for a tenth of the events and for all of them: seconds, an event's cost, memory at most.
"""

import argparse
import asyncio
import io
import json
import os
import re
import shutil
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import write_deltalake

sys.path.insert(0, str(Path(__file__).parents[1]))  # for `support`, as pytest has it

from analytics_events import publish, stored

from orderflow_analytics.lake.export import MOST_BYTES, MOST_ROWS, export
from orderflow_analytics.lake.stored_events import StoredEvents
from orderflow_analytics.lake.zones import Lake
from orderflow_analytics.sink.handlers import COLUMNS, TABLE, Keeper
from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.postgres import Postgres, create_database
from orderflow_contracts.raw_event import RawEvent
from orderflow_runtime import Received
from support.analytics import measured_run
from support.analytics.stored import Site, Stored, as_stored
from support.flow.fleet import until
from support.flow.orders import open_fleet
from support.runtime.batch import Batch
from support.tools.programs import executed
from support.tools.scratch import scratch_directory
from support.tools.servers import new_kafka, new_postgres

ROOT = Path(__file__).parents[2]
ANALYTICS = {"image": "orderflow/services:dev", "contracts": "orderflow_shop.events"}
MODELS = {"models": str(ROOT / "analytics" / "shop")}
ROUNDS, A_BATCH = 3, 500
Json = dict[str, Any]


async def bench(events: int, folder: Path) -> Json:
    """Measure everything; return what bench-analytics.json holds."""
    postgres, kafka = new_postgres(folder), new_kafka(folder)
    try:
        postgres.start()
        found = {"machine": _machine(), "events": events}
        few = min(events, 100_000)
        for name, part in {
            "copy": lambda: _copy(postgres, few, folder),
            "export": lambda: _export(postgres, few, folder),
            "marts": lambda: _marts(postgres, events, folder),
            "sink": lambda: _sink(postgres, kafka, few, folder),
        }.items():
            found[name] = await part()
            print(name, found[name], file=sys.stderr, flush=True)
        found["sink"]["share_of_copy"] = round(found["sink"]["events_per_s"] / found["copy"]["limit_per_s"], 2)
        return found | {"load_at_end": os.getloadavg()}
    finally:
        kafka.stop()
        postgres.stop()


async def site_of(postgres: Postgres, name: str, folder: Path, **more: str) -> Site:
    """Return a site with a database of its own, migrated."""
    await create_database(postgres.admin_url(), name)
    (own := folder / name).mkdir()
    site = Site(postgres.admin_url(name), own, more)
    await site.prepare()
    return site


async def by_turns(rounds: int, **sides: Callable[[], Awaitable[float]]) -> dict[str, float]:
    """Return the median of what each side gives, the sides taking turns."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds):
        for name, measure in list(sides.items())[:: 1 if turn % 2 else -1]:
            found[name].append(await measure())
    return {name: statistics.median(values) for name, values in found.items()}


async def _copy(postgres: Postgres, number: int, folder: Path) -> Json:
    site = await site_of(postgres, "copy", folder)
    events = list(stored(number, datetime.now(UTC)))
    received = [_received(one) for one in events]
    connection = await asyncpg.connect(site.admin_url, server_settings={"search_path": "raw"})
    bytes_of_all = await _as_bytes(connection, events)
    keeper = Keeper(lambda: datetime.now(UTC).date())

    async def raw() -> float:
        await connection.execute("TRUNCATE events")
        bytes_of_all.seek(0)
        began = time.monotonic()
        await connection.copy_to_table(TABLE, source=bytes_of_all, columns=COLUMNS, format="binary")
        return number / (time.monotonic() - began)

    async def ours() -> float:
        await connection.execute("TRUNCATE events")
        began = time.monotonic()
        for start in range(0, number, A_BATCH):
            async with connection.transaction():
                await keeper.keep(received[start : start + A_BATCH], Batch(connection))
        return number / (time.monotonic() - began)

    found = await by_turns(ROUNDS, limit=raw, ours=ours)
    await connection.close()
    return _share(found)


def _received(one: Stored) -> Received[RawEvent]:
    kind = RawEvent.named(one.type)
    return Received(kind(source=one.source, version=one.version, data=one.data, record_key=one.key), one.id, one.time)


async def _as_bytes(connection: asyncpg.Connection, events: list[Stored]) -> io.BytesIO:
    found = io.BytesIO()
    await connection.copy_records_to_table(TABLE, records=events, columns=COLUMNS)
    columns = ", ".join(COLUMNS)
    await connection.copy_from_query(f"SELECT {columns} FROM events", output=found, format="binary")  # noqa: S608 - fixed names
    return found


def _share(found: dict[str, float]) -> Json:
    rates = {f"{name}_per_s": round(rate) for name, rate in found.items()}
    limits = {name: round(found["ours"] / rate, 2) for name, rate in found.items() if name != "ours"}
    return rates | {f"share_of_{name}": share for name, share in limits.items()}


async def _export(postgres: Postgres, number: int, folder: Path) -> Json:
    site = await site_of(postgres, "export", folder)
    await fill(site, number)
    connection = await asyncpg.connect(site.admin_url, server_settings={"search_path": "raw"})
    source, place = StoredEvents(connection), folder / "written"
    held = await _pieces(source)

    async def writing() -> float:
        shutil.rmtree(place, ignore_errors=True)
        began = time.monotonic()
        _write(place, held)
        return number / (time.monotonic() - began)

    async def script() -> float:
        shutil.rmtree(place, ignore_errors=True)
        began = time.monotonic()
        _write(place, await _fetched(connection))
        return number / (time.monotonic() - began)

    async def ours() -> float:
        shutil.rmtree(place, ignore_errors=True)
        began = time.monotonic()
        await export(source, Lake(str(place), "shop").raw())
        return number / (time.monotonic() - began)

    found = await by_turns(ROUNDS, writing=writing, script=script, ours=ours)
    await connection.close()
    return _share(found)


def _write(place: Path, pieces: list[pa.Table]) -> None:
    write_deltalake(place, pa.concat_tables(pieces), partition_by=["event_type", "stored_date"])


async def _pieces(source: StoredEvents) -> list[pa.Table]:
    found, position = [], 0
    while (rows := await source.after(position, MOST_ROWS, MOST_BYTES)).num_rows:
        found.append(rows)
        position = pc.max(rows["batch"]).as_py()
    return found


async def _fetched(connection: asyncpg.Connection) -> list[pa.Table]:
    """Return all rows as the shortest script would fetch them: by a cursor, so many at a time."""
    query = "SELECT * FROM events"
    found = []
    async with connection.transaction():
        cursor = await connection.cursor(query)
        while rows := await cursor.fetch(MOST_ROWS):
            found.append(as_stored(rows))
    return found


async def fill(site: Site, number: int) -> None:
    """Store so many events, in the batches of a sink that is busy."""
    batch: list[Stored] = []
    connection = await asyncpg.connect(site.admin_url, server_settings={"search_path": "raw"})
    for one in stored(number, datetime.now(UTC)):
        batch.append(one)
        if len(batch) == A_BATCH:
            await connection.copy_records_to_table(TABLE, records=batch, columns=COLUMNS)
            batch.clear()
    await connection.copy_records_to_table(TABLE, records=batch, columns=COLUMNS)
    await connection.close()


async def _marts(postgres: Postgres, number: int, folder: Path) -> Json:
    found: Json = {}
    for share, events in (("tenth", number // 10), ("whole", number)):
        site = await site_of(postgres, share, folder, **ANALYTICS, **MODELS)
        await fill(site, events)
        run, began, spent = site.start(measured_run.__file__), time.monotonic(), os.times()
        told, words = await asyncio.to_thread(run.communicate)
        assert run.returncode == 0, words
        ended = os.times()
        cpu = ended.children_user + ended.children_system - spent.children_user - spent.children_system
        found[share] = {
            "events": events,
            "seconds": round(time.monotonic() - began, 1),
            "cpu_us_per_event": round(1e6 * cpu / events, 1),
            "memory_mb": round(int(told.splitlines()[-1]) / 1024),
        }
        shutil.rmtree(site.lake)
    return found | {"cost_by_size": round(found["whole"]["cpu_us_per_event"] / found["tenth"]["cpu_us_per_event"], 2)}


async def _sink(postgres: Postgres, kafka: Kafka, number: int, folder: Path) -> Json:
    kafka.start()
    opened = open_fleet(kafka.bootstrap, postgres.admin_url, folder, analytics=ANALYTICS)
    fleet, rates = await asyncio.to_thread(opened.__enter__), []
    fleet.program = executed  # a fork would count what this process holds
    try:
        for _ in range(ROUNDS):
            publish(fleet, list(stored(number, datetime.now(UTC))))
            fleet.start("raw")
            count = "SELECT count(*) AS n, extract(epoch FROM max(stored_at) - min(stored_at)) AS s FROM raw.events"

            async def done(count: str = count) -> bool:
                return bool((await fleet.fetch(count))[0]["n"] >= number)

            await until(done, "all events are stored", 600)
            (row,) = await fleet.fetch(count)
            rates.append(number / float(row["s"]))
            memory = _most_memory(fleet.processes["raw-0"].pid)
            fleet.kill("raw-0")
            await fleet.fetch("TRUNCATE raw.events")
    finally:
        await asyncio.to_thread(opened.__exit__, None, None, None)
    return {"events_per_s": round(statistics.median(rates)), "memory_mb": round(memory)}


def _most_memory(pid: int) -> float:
    """Return the MiB that a process held at most."""
    found = re.search(r"VmHWM:\s+([0-9]+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def _machine() -> Json:
    return {
        "cores": psutil.cpu_count(),
        "load_at_start": os.getloadavg(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description="What the way into the lake costs, against what it stands on alone.")
    parser.add_argument("--events", type=int, default=1_000_000, help="that go to the marts (1,000,000)")
    parser.add_argument("--output", type=Path, default=ROOT / "artifacts" / "bench-analytics.json")
    arguments = parser.parse_args()
    pa.set_memory_pool(pa.system_memory_pool())
    with scratch_directory() as folder:
        found = asyncio.run(bench(arguments.events, folder))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
