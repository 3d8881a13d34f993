"""The bench's parts in their order: the limits, then the flow itself. Run by `bench.py`, which says what it gives."""

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import against
import aiohttp
import cost
import limit_kafka
import limit_postgres
import psutil
import uvloop
from arrivals import Arrivals
from load import BATCH, Client, steady_rates
from orders import Orders, batches
from overhead import Turns, overhead
from rehearsal import Rehearsal
from report import table
from system import Servers, System, running, servers, with_provider_inside

from orderflow_cli.servers.kafka_topics import ensure_topics
from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import load_flow
from orderflow_model.names import topic_name
from orderflow_model.topics import flow_topics
from support.flow.fleet import TOGETHER
from support.tools.scratch import scratch_directory

ROOT = Path(__file__).parents[2]
FLOW = ROOT / "manifests" / "flows" / "shop.yaml"
RATES = (50, 100, 200)
KILLED = "inventory"
"""The service that is killed: every order passes it twice."""


@dataclass(frozen=True)
class Size:
    """How much of each part: numbers of orders, seconds."""

    rehearsed: int
    piped: int
    warm_up: int
    closed: int
    rounds: int
    open_s: int
    open_http_s: int
    recovery_s: int
    tracing: Turns


FULL = Size(8_000, 40_000, 5_000, 21_000, 5, 25, 15, 20, Turns(5, 2_500, 15_000, 10))
QUICK = Size(2_000, 10_000, 1_500, 6_000, 2, 6, 3, 8, Turns(1, 1_000, 7_500, 3))


async def bench(size: Size, folder: Path) -> dict[str, Any]:
    """Measure everything; give what bench.json holds."""
    flow, machine = load_flow(FLOW), _machine()
    async with servers(folder) as both:
        limit = await _limits(both, flow, size, folder)
        _say(f"limits: {limit}")
        async with running(both, with_provider_inside(flow), folder / "flow") as system:
            ours = {"placement": "Together" if TOGETHER else "Apart"} | await _ours(system, flow, size)
    ours["share_of_limit"] = round(
        ours["orders_per_s"] / min(limit["pipeline_orders_per_s"], limit["postgres_orders_per_s"]), 3
    )
    ours["share_of_postgres"] = round(ours["orders_per_s"] / limit["postgres_orders_per_s"], 3)
    return {"machine": machine, "limit": limit, "ours": ours}


async def _limits(both: Servers, flow: OrderFlow, size: Size, folder: Path) -> dict[str, Any]:
    rehearsal = Rehearsal(flow, await both.database(flow, "rehearsal"))
    placed = list(batches(Orders("rehearsal").take(size.rehearsed), BATCH))
    await rehearsal.run([part for part, _ in placed])
    fresh = await both.database(flow, "limit")
    before = cost.read({"postgres": both.postgres.pid or 0})
    seconds = await limit_postgres.replay(fresh, {name: s.journal for name, s in rehearsal.stages.items()})
    spent = cost.read({"postgres": both.postgres.pid or 0}).since(before)

    bare = flow.model_copy(update={"metadata": flow.metadata.model_copy(update={"name": "bare"})})
    ensure_topics(both.kafka.bootstrap, flow_topics(bare))
    names = [[topic_name(name, event) for event in limit_kafka.EVENTS] for name in (flow.metadata.name, "bare")]
    messages = [rehearsal.messages[topic] for topic in names[0]]
    ends = await limit_kafka.pipeline(both.kafka.bootstrap, names[1], messages, size.piped, folder)
    rates = steady_rates(ends, size.rounds)
    return {
        "pipeline_orders_per_s": round(statistics.median(rates)),
        "pipeline_rounds": [round(rate) for rate in rates],
        "postgres_orders_per_s": round(size.rehearsed / seconds),
        "postgres_cpu_s_per_1000_orders": round(1000 * spent.total / size.rehearsed, 3),
        "postgres_client_cpu_s_per_1000_orders": round(1000 * spent.client / size.rehearsed, 3),
    }


async def _ours(system: System, flow: OrderFlow, size: Size) -> dict[str, Any]:
    topics = [topic_name(system.fleet.flow.metadata.name, f"ORDER_{end}") for end in ("COMPLETED", "CANCELLED")]
    with Arrivals(system.servers.kafka.bootstrap, topics) as arrivals:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=2)) as http:
            client = Client(http, system.fleet.url("order-0", ""), arrivals)
            ours = await _measured(system, client, "in-process", size, size.open_s)
            _say(f"in process: {ours}")
            ours["recovery"] = await _recovery(system, client, size)
            _say(f"recovery: {ours['recovery']}")
            ours["tracing"] = await overhead(system, client, size.tracing)
            _say(f"tracing: {ours['tracing']}")
            await system.restart_over_http(flow)
            ours["over_http"] = await _measured(system, client, "over-http", size, size.open_http_s)
    return ours


async def _measured(system: System, client: Client, seed: str, size: Size, open_s: int) -> dict[str, Any]:
    orders = Orders(seed)
    await client.closed_loop(orders.take(size.warm_up))
    closed = await _closed_loop(system, client, orders, size)
    open_loop = {}
    for rate in RATES:
        await client.open_loop(orders.take(rate), rate)
        placed, before = orders.take(rate * open_s), system.read()
        result = await client.open_loop(placed, rate)
        open_loop[str(rate)] = result.summary() | _costs(system.read().since(before), len(placed), split=False)
    return closed | {"open_loop": open_loop}


async def _closed_loop(system: System, client: Client, orders: Orders, size: Size) -> dict[str, Any]:
    placed, before = orders.take(size.closed), system.read()
    started = time.monotonic()
    rates = steady_rates(await client.closed_loop(placed), size.rounds)
    seconds = time.monotonic() - started
    spent = system.read().since(before)
    memory, kind = cost.memory_mb(system.pids)
    return {
        "orders_per_s": round(statistics.median(rates)),
        "rounds": [round(rate) for rate in rates],
        **_costs(spent, len(placed), split=True),
        "other_load_cores": round(spent.others / seconds, 2),
        "rss_mb": round(sum(memory.values())),
        "rss_kind": kind,
        "rss_mb_by_process": {name: round(of_process) for name, of_process in memory.items()},
    }


async def _recovery(system: System, client: Client, size: Size) -> dict[str, float]:
    rate, killed = 100, 0.0

    async def kill() -> None:
        nonlocal killed
        await asyncio.sleep(3)
        killed = time.monotonic()
        await system.kill_and_restart(KILLED)

    placed = Orders("recovery").take(rate * size.recovery_s)
    result, _ = await asyncio.gather(client.open_loop(placed, rate), kill())
    return result.recovery(killed) | {"at_orders_per_s": rate}


def _costs(spent: cost.Reading, orders: int, split: bool) -> dict[str, Any]:
    """CPU seconds per 1,000 orders; the load generator is told apart, it is not in the sum."""
    whole = {"cpu_s_per_1000_orders": round(1000 * spent.total / orders, 3)}
    if not split:
        return whole
    by_name = {name: round(1000 * cpu / orders, 3) for name, cpu in spent.by_name.items()}
    return whole | {"cpu_split": by_name, "client_cpu_s_per_1000_orders": round(1000 * spent.client / orders, 3)}


def _machine() -> dict[str, Any]:
    return {
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "load_at_start": [round(load, 2) for load in os.getloadavg()],
        "busy_cores_at_start": round(sum(psutil.cpu_percent(1.0, percpu=True)) / 100, 2),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(
        description="What the flow can do on this machine, and what Kafka and Postgres alone could."
    )
    parser.add_argument("--quick", action="store_true", help="fewer orders: for a look, not for figures to quote")
    parser.add_argument("--against", metavar="REF", help="only compare today's build with this commit's, by turns")
    parser.add_argument("--output", type=Path, default=ROOT / "artifacts" / "bench.json")
    arguments = parser.parse_args()
    with scratch_directory() as folder:
        found = uvloop.run(_run(arguments.against, arguments.quick, folder))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    written = json.loads(arguments.output.read_bytes()) if arguments.against and arguments.output.exists() else {}
    arguments.output.write_text(json.dumps(written | found, indent=2) + "\n", encoding="utf-8")
    print(against.table(found["against"]) if arguments.against else table(found))
    print(f"written to {arguments.output}")


async def _run(ref: str | None, quick: bool, folder: Path) -> dict[str, Any]:
    if ref is None:
        return await bench(QUICK if quick else FULL, folder) | {"quick": quick}
    return {"against": await against.compare(ROOT, ref, against.QUICK if quick else against.FULL, folder)}
