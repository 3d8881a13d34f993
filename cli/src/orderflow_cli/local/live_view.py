"""Shows a running flow: a live table in a terminal, elsewhere a plain line every two seconds while something moves.

Each look asks all services and the database, so a flow at rest is looked at less often.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from orderflow_console.metrics.rates import Arrow

_LIVE_SECONDS, _PLAIN_SECONDS = 0.5, 2.0
_RESTING = 4
"""So many times longer it waits, at most, while nothing moves."""


@dataclass(frozen=True)
class Snapshot:
    """What is shown: figures of one moment. `unknown` are the services that give none; the sums leave them out."""

    arrows: list[Arrow]
    posted: int
    states: Mapping[str, int]
    parked: int
    dead: int
    restarts: Mapping[str, int]
    unknown: Sequence[str] = ()


async def show(console: Console, take: Callable[[], Awaitable[Snapshot]]) -> None:
    """Show snapshots until cancelled."""
    if not console.is_terminal:
        await _follow(take, lambda new: console.print(_line(new), soft_wrap=True, highlight=False), _PLAIN_SECONDS)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        await _follow(take, lambda new: live.update(_board(new), refresh=True), _LIVE_SECONDS)


async def _follow(take: Callable[[], Awaitable[Snapshot]], update: Callable[[Snapshot], None], seconds: float) -> None:
    """Show each snapshot that differs from the one before, until cancelled; the next comes after so long, or longer."""
    wait, shown = seconds, None
    while True:
        if (snapshot := await take()) != shown:
            update(snapshot)
            wait = seconds
        await asyncio.sleep(wait)
        wait, shown = min(2 * wait, _RESTING * seconds), snapshot


def _line(snapshot: Snapshot) -> str:
    rate = sum(arrow.rate for arrow in snapshot.arrows)
    return f"{_orders(snapshot)} | {rate:.0f} events/s | {_troubles(snapshot)}"


def _board(snapshot: Snapshot) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("published by", "event", "handled by"):
        table.add_column(title)
    table.add_column("events/s", justify="right")
    table.add_column("total", justify="right")
    for arrow in snapshot.arrows:
        flowing = "" if arrow.rate else "dim"
        known = arrow.subscriber not in snapshot.unknown
        figures = (f"{arrow.rate:,.0f}", f"{arrow.total:,}") if known else ("?", "?")
        table.add_row(arrow.publishers, arrow.event, f"→ {arrow.subscriber}", *figures, style=flowing)
    # The table goes last: a short terminal cuts the end off.
    return Group(Text(_orders(snapshot), style="bold"), Text(_troubles(snapshot)), table)


def _orders(snapshot: Snapshot) -> str:
    states = ", ".join(f"{state} {count:,}" for state, count in snapshot.states.items())
    return f"orders sent {snapshot.posted:,}: {states or 'none yet'}"


def _troubles(snapshot: Snapshot) -> str:
    restarts = ", ".join(f"{name} {count}" for name, count in snapshot.restarts.items() if count)
    unknown = f", figures unknown: {' '.join(snapshot.unknown)}" if snapshot.unknown else ""
    return f"parked {snapshot.parked:,}, dead letters {snapshot.dead:,}, restarts {restarts or 0}{unknown}"


def verdict(holds: bool, name: str, figures: str) -> str:
    """Return one invariant as a line of the summary."""
    return f"{'✓' if holds else '✗ BROKEN:'} {name:<22} {figures}"
