"""The bench's figures as a table for people. Called by `bench.py`, which writes the same figures as JSON."""

from collections.abc import Iterator, Mapping
from typing import Any

_WIDTH = 46


def table(found: Mapping[str, Any]) -> str:
    """Give the table."""
    limit, ours, machine = found["limit"], found["ours"], found["machine"]
    lines = [
        f"{machine['cores']} cores, {machine['busy_cores_at_start']} of them busy with other work at the start",
        "",
        _row("limit: Kafka alone, five hops", f"{limit['pipeline_orders_per_s']:,} orders/s"),
        _row("limit: Postgres alone, the same statements", f"{limit['postgres_orders_per_s']:,} orders/s"),
        *_system("ours, provider in process", ours),
        _row("ours, share of the lower limit", f"{ours['share_of_limit']:.0%}"),
        _row("ours, share of Postgres alone", f"{ours['share_of_postgres']:.0%}"),
        _row("ours, first order after SIGKILL", f"{ours['recovery']['first_s']} s"),
        _row("ours, backlog gone after SIGKILL", f"{ours['recovery']['drained_s']} s"),
        *_system("ours, provider over HTTP", ours["over_http"]),
        *_tracing(ours["tracing"]),
    ]
    return "\n".join(lines)


def _system(name: str, of: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield _row(name, f"{of['orders_per_s']:,} orders/s")
    yield _row("  CPU seconds per 1,000 orders", str(of["cpu_s_per_1000_orders"]))
    yield from (_row(f"    {process}", str(cpu)) for process, cpu in of["cpu_split"].items())
    yield _row(f"  memory ({of['rss_kind'].upper()})", f"{of['rss_mb']} MiB")
    for rate, loop in of["open_loop"].items():
        figures = " / ".join(str(loop[f"p{share}_ms"]) for share in ("50", "99", "999"))
        cpu = loop["cpu_s_per_1000_orders"]
        yield _row(f"  at {rate} orders/s: p50 / p99 / p99.9", f"{figures} ms   ({cpu} CPU s per 1,000)")


def _tracing(of: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield _row("tracing", "orders/s / CPU s per 1,000 / p99 at 100 orders/s")
    for mode, figures in of.items():
        more = figures["percent_more_than_off"]
        values = (
            f"{figures['orders_per_s']:,.0f} ({more['orders_per_s']:+.1f} %)",
            f"{figures['cpu_s_per_1000_orders']:.3f} ({more['cpu_s_per_1000_orders']:+.1f} %)",
            f"{figures['p99_ms']:.0f} ms ({more['p99_ms']:+.1f} %)",
        )
        yield _row(f"  {mode}", " / ".join(values))


def _row(name: str, value: str) -> str:
    return f"{name:<{_WIDTH}}{value}"
