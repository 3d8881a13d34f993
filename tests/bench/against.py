"""Today's build against another commit's: by turns in one run, so that both meet the same machine.

What is told is the ratio new to old of each pair of turns: the median, and between which it lay. Absolute figures stand
beside them. Run by `bench.py --against REF`.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from arrivals import Arrivals
from builds import Build, RunningBuild, check_out, run_build
from load import Client, steady_rates
from orders import Orders

_FLOW = "shop"
_ENDS = (f"{_FLOW}.order-completed", f"{_FLOW}.order-cancelled")
_COUNTED_AFTER = 1.5
"""Seconds after which Postgres tells of what its backends have done."""


@dataclass(frozen=True)
class Turn:
    """How much of it: pairs, orders of the closed loop and before it, seconds of each open loop and of rest."""

    pairs: int
    warm_up: int
    closed: int
    open_s: int
    rest_s: int
    rates: tuple[int, ...] = (20, 50, 100)


FULL = Turn(5, 3_000, 12_000, 20, 20)
QUICK = Turn(3, 1_500, 6_000, 8, 8)


async def compare(root: Path, ref: str, turn: Turn, folder: Path) -> dict[str, Any]:
    """Give the figures of both builds and their ratios; of each pair the other one begins."""
    builds = [Build("new", root), Build("old", check_out(root, ref, folder / "old").path)]
    found: dict[str, list[dict[str, float]]] = {"new": [], "old": []}
    for number in range(turn.pairs):
        for build in builds if number % 2 else reversed(builds):
            figures = await _measure(build, turn, folder / f"{build.name}-{number}")
            found[build.name].append(figures)
            print(f"[{time.strftime('%H:%M:%S')}] {build.name}: {figures}", file=sys.stderr, flush=True)
    return {"ref": ref, "pairs": turn.pairs, "apart": _ratios(found["new"], found["old"])}


async def _measure(build: Build, turn: Turn, folder: Path) -> dict[str, float]:
    async with run_build(build, _FLOW, folder) as running:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
        with Arrivals(running.bootstrap, _ENDS) as arrivals:
            async with aiohttp.ClientSession(connector=connector) as http:
                client, orders = Client(http, running.url, arrivals), Orders(folder.name)
                await client.closed_loop(orders.take(turn.warm_up))
                figures = await _closed(running, client, orders, turn)
                for rate in turn.rates:
                    figures |= await _open(running, client, orders, rate, turn.open_s)
        return figures | await _rest(running, turn.rest_s)


async def _closed(running: RunningBuild, client: Client, orders: Orders, turn: Turn) -> dict[str, float]:
    placed, before, began = orders.take(turn.closed), running.read(), time.monotonic()
    rates = steady_rates(await client.closed_loop(placed), 3)
    spent = running.read().since(before)
    return {
        "orders_per_s": statistics.median(rates),
        "cpu_s_per_1000_orders": 1000 * spent.total / len(placed),
        "other_load_cores": spent.others / (time.monotonic() - began),
    }


async def _open(running: RunningBuild, client: Client, orders: Orders, rate: int, seconds: int) -> dict[str, float]:
    await client.open_loop(orders.take(2 * rate), rate)
    await asyncio.sleep(_COUNTED_AFTER)
    placed, before = orders.take(rate * seconds), (running.read(), running.wakeups(), await running.transactions())
    result = (await client.open_loop(placed, rate)).summary()
    spent, woken = running.read().since(before[0]), running.wakeups() - before[1]
    await asyncio.sleep(_COUNTED_AFTER)
    return {
        f"p50_{rate}": result["p50_ms"],
        f"p99_{rate}": result["p99_ms"],
        f"cpu_per_order_{rate}": 1000 * spent.total / len(placed),
        f"wakeups_per_order_{rate}": woken / len(placed),
        f"transactions_per_order_{rate}": (await running.transactions() - before[2]) / len(placed),
    }


async def _rest(running: RunningBuild, seconds: int) -> dict[str, float]:
    await asyncio.sleep(2)
    before = running.read()
    await asyncio.sleep(seconds)
    spent = running.read().since(before)
    return {"cpu_at_rest": spent.total / seconds, "services_pss": running.services_mb()}


def _ratios(new: Sequence[Mapping[str, float]], old: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    found = {}
    for name in new[0]:
        ratios = [one[name] / other[name] for one, other in zip(new, old, strict=True) if other[name]]
        found[name] = {
            "new": round(statistics.median(one[name] for one in new), 3),
            "old": round(statistics.median(one[name] for one in old), 3),
            "ratio": round(statistics.median(ratios), 3) if ratios else None,
            "spread": [round(min(ratios), 3), round(max(ratios), 3)] if ratios else [],
        }
    return found


def table(found: Mapping[str, Any]) -> str:
    """Return the figures for people: milliseconds, CPU milliseconds an order, MiB, cores at rest."""
    head = f"{'today against ' + found['ref'][:12]:<28}{'new':>10}{'old':>10}{'ratio':>8}   spread of {found['pairs']}"
    rows = (
        f"{name:<28}{of['new']:>10}{of['old']:>10}{of['ratio'] or '-':>8}   {' to '.join(map(str, of['spread']))}"
        for name, of in found["apart"].items()
    )
    return "\n".join([head, *rows])
