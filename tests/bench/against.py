"""Today's build against another commit's: by turns in one run, so that both meet the same machine.

What is told is the ratio new to old of each round of turns: the median, and between which it lay. Absolute figures
stand beside them. Run by `bench.py --against REF`.
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
import counts
from arrivals import Arrivals
from builds import Build, RunningBuild, check_out, placed, run_build
from load import Client, steady_rates
from orders import Orders

_FLOW = "shop"
_ENDS = (f"{_FLOW}.order-completed", f"{_FLOW}.order-cancelled")
_REST_AFTER_SECONDS = 3
_AT_REST = ("wakeups", "statements", "fetches", "produces")
_PER_ORDER = ("wakeups", "batches", "transactions", "statements", "fetches", "produces")


@dataclass(frozen=True)
class Turn:
    """How much of it: rounds, orders of the closed loop and before it, seconds of each open loop and of rest."""

    rounds: int
    warm_up: int
    closed: int
    open_s: int
    rest_s: int
    rates: tuple[int, ...]
    placements: int


FULL = Turn(3, 3_000, 12_000, 20, 20, (20, 50, 100, 200), 2)
QUICK = Turn(1, 1_500, 0, 8, 8, (20, 100), 1)
"""What one looks at while one works, in the usual placement: counts tell; CPU and latencies are a hint."""


async def compare(root: Path, ref: str, turn: Turn, folder: Path) -> dict[str, Any]:
    """Return the figures and their ratios, by placement of today's build; rounds begin at either end."""
    builds = [Build("old", check_out(root, ref, folder / "checkout").path), *placed(root)[: turn.placements]]
    found: dict[str, list[dict[str, float]]] = {build.name: [] for build in builds}
    for number in range(turn.rounds):
        for build in builds if number % 2 else reversed(builds):
            figures = await _measure(build, turn, folder / f"{build.name}-{number}")
            found[build.name].append(figures)
            print(f"[{time.strftime('%H:%M:%S')}] {build.name}: {_rounded(figures)}", file=sys.stderr, flush=True)
    old = found.pop("old")
    return {"ref": ref, "rounds": turn.rounds} | {name: _ratios(new, old) for name, new in found.items()}


async def _measure(build: Build, turn: Turn, folder: Path) -> dict[str, float]:
    async with run_build(build, _FLOW, folder) as running:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
        with Arrivals(running.bootstrap, _ENDS) as arrivals:
            async with aiohttp.ClientSession(connector=connector) as http:
                client, orders = Client(http, running.url, arrivals), Orders(folder.name)
                await client.closed_loop(orders.take(turn.warm_up))
                figures = await _closed(running, client, orders, turn) if turn.closed else {}
                for rate in turn.rates:
                    figures |= await _open(running, client, orders, rate, turn.open_s)
        return figures | await _rest(running, turn.rest_s)


async def _closed(running: RunningBuild, client: Client, orders: Orders, turn: Turn) -> dict[str, float]:
    placed, before = orders.take(turn.closed), running.read()
    rates = steady_rates(await client.closed_loop(placed), 3)
    spent = running.read().since(before)
    return {
        "orders_per_s": statistics.median(rates),
        "cpu_s_per_1000_orders": 1000 * spent["cpu"] / len(placed),
        "other_cores": spent["others"] / spent["seconds"],
    }


async def _open(running: RunningBuild, client: Client, orders: Orders, rate: int, seconds: int) -> dict[str, float]:
    await client.open_loop(orders.take(2 * rate), rate)
    placed, counted, begun = orders.take(rate * seconds), await _count(running, client), running.read()
    result = (await client.open_loop(placed, rate)).summary()
    spent = running.read().since(begun)
    done = {name: count - counted[name] for name, count in (await _count(running, client)).items()} | spent
    return {
        f"p50_{rate}": result["p50_ms"],
        f"p99_{rate}": result["p99_ms"],
        f"cpu_per_order_{rate}": 1000 * spent["cpu"] / len(placed),
        **{f"{name}_per_order_{rate}": done[name] / len(placed) for name in _PER_ORDER if name in done},
        f"other_cores_{rate}": spent["others"] / spent["seconds"],
    }


async def _count(running: RunningBuild, client: Client) -> dict[str, float]:
    """Return the counts so far, without the fetches of who looks for the ends of orders."""
    found = await counts.read(running.places)
    if "fetches" in found:
        found["fetches"] -= client.arrivals.fetches
    return found


async def _rest(running: RunningBuild, seconds: int) -> dict[str, float]:
    """Return what is spent while nothing is asked for: cores, and counts a second."""
    await asyncio.sleep(_REST_AFTER_SECONDS)
    counted, counted_at = await counts.read(running.places), time.monotonic()
    before = running.read()
    await asyncio.sleep(seconds)
    spent = running.read().since(before)
    after, counted_for = await counts.read(running.places), time.monotonic() - counted_at
    done = {name: (after[name] - counted[name]) / counted_for for name in after}
    done |= {name: spent[name] / spent["seconds"] for name in spent}
    return {
        "cpu_at_rest": done["cpu"],
        **{f"{name}_at_rest": done[name] for name in _AT_REST if name in done},
        "other_cores_at_rest": done["others"],
        "services_pss": running.services_mb(),
    }


def _ratios(new: Sequence[Mapping[str, float]], old: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    found = {}
    for name in new[0]:
        ratios = [one[name] / other[name] for one, other in zip(new, old, strict=True) if other.get(name)]
        found[name] = {
            "new": round(statistics.median(one[name] for one in new), 3),
            "old": round(statistics.median(one.get(name, 0) for one in old), 3),
            "ratio": round(statistics.median(ratios), 3) if ratios else None,
            "spread": [round(min(ratios), 3), round(max(ratios), 3)] if ratios else [],
        }
    return found


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(figure, 3) for name, figure in figures.items()}


def table(found: Mapping[str, Any]) -> str:
    """Return the figures for people: milliseconds, CPU in ms an order, MiB, cores and counts a second at rest."""
    return "\n\n".join(_part(found, name) for name in ("together", "apart") if name in found)


def _part(found: Mapping[str, Any], placement: str) -> str:
    title = f"{placement} against {found['ref'][:12]}"
    head = f"{title:<28}{'new':>10}{'old':>10}{'ratio':>8}   spread of {found['rounds']}"
    rows = (
        f"{name:<28}{of['new']:>10}{of['old']:>10}{of['ratio'] or '-':>8}   {' to '.join(map(str, of['spread']))}"
        for name, of in found[placement].items()
    )
    return "\n".join([head, *rows])
