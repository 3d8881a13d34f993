"""`orderflow trace ORDER`: all that happened to one order, in every service, as Postgres knows it."""

import json
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orderflow_cli.commands.lint import FILE
from orderflow_cli.database import DATABASE, ask
from orderflow_cli.local.running_flow import find_flow
from orderflow_cli.local.state import DEFAULT_BASE
from orderflow_cli.terminal import printable
from orderflow_console.queries.timeline import Step, Timeline, get_timeline
from orderflow_model.postgres_uri import PostgresUri

_STYLES = {"FAILED": "yellow", "WAITS": "yellow", "WAITING": "yellow", "UNKNOWN": "yellow", "DEAD": "red bold"}


@click.command()
@click.argument("key", metavar="ORDER")
@click.option("--flow", help="The flow's name, where several run from the state directory.")
@click.option("--state", "base", type=FILE, default=DEFAULT_BASE, show_default=True, help="As in orderflow run.")
@click.option(
    "--database",
    type=DATABASE,
    envvar="ORDERFLOW_ADMIN_URL",
    help="URI of another database, by a user who may read all its schemas.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
def trace(key: str, flow: str | None, base: Path, database: PostgresUri | None, as_json: bool) -> None:
    """Tell what happened to ORDER (or another key), service by service, in order of time.

    Events published and taken in, attempts that failed, what waits, dead letters, calls to the outside and their
    answers. No tracing backend is asked; where one has the order's trace, its id is told. Of a flow on a cluster give
    the admin's URI of its database, such as through kubectl port-forward.
    """
    timeline = ask(database or find_flow(base, flow).database_of_all(), lambda known: get_timeline(known, key))
    if as_json:
        click.echo(json.dumps(_document(timeline), ensure_ascii=False, default=str))
    else:
        _show(timeline)


def _document(timeline: Timeline) -> dict[str, object]:
    lines = [asdict(step) | {"at": step.at.isoformat()} for step in timeline.steps]
    return {"key": timeline.key, "state": timeline.state, "traces": timeline.traces, "lines": lines}


def _show(timeline: Timeline) -> None:
    """Print a table in a terminal; elsewhere a line each, its fields apart by tabs."""
    console = Console(markup=False)
    traces = (f"trace {found}" for found in timeline.traces)
    click.echo("\t".join([printable(timeline.key), timeline.state or "", *traces]))
    begin = timeline.steps[0].at
    if not console.is_terminal:
        for step in timeline.steps:
            click.echo("\t".join(_row(step, (step.at - begin).total_seconds())))
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("time", "after", "service", "what", "event"):
        table.add_column(title, no_wrap=True)
    table.add_column("detail", overflow="fold")
    for step in timeline.steps:
        row = _row(step, (step.at - begin).total_seconds())
        table.add_row(*(Text(cell, style=_STYLES.get(step.what, "")) for cell in row))
    console.print(table)


def _row(step: Step, after: float) -> tuple[str, ...]:
    at = step.at.isoformat(" ", "milliseconds")
    return at, f"+{after:.3f}", step.service, step.what.lower(), printable(step.type), printable(step.detail, 300)
