"""`orderflow trace ORDER`: all that happened to one order, in every service, as Postgres knows it."""

from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orderflow_cli.commands.place import Place, with_database
from orderflow_cli.database import ask
from orderflow_cli.output import Form, output_option, show_document
from orderflow_cli.terminal import printable
from orderflow_console.queries.timeline import Step, Timeline, get_timeline

_STYLES = {"FAILED": "yellow", "WAITS": "yellow", "WAITING": "yellow", "UNKNOWN": "yellow", "DEAD": "red bold"}


@click.command()
@click.argument("key", metavar="ORDER")
@click.option("--json", "as_json", is_flag=True, help="The same as -o json.")
@output_option
@with_database
def trace(place: Place, key: str, as_json: bool, form: Form) -> None:
    """Tell what happened to ORDER (or another key), service by service, in order of time.

    Events published and taken in, attempts that failed, what waits, dead letters, calls to the outside and their
    answers. No tracing backend is asked; where one has the order's trace, its id is told. Of a flow on a cluster give
    the admin's URI of its database, such as through kubectl port-forward.
    """
    timeline = ask(place.database, lambda database: get_timeline(database, key))
    if as_json or form is not Form.TABLE:
        show_document(_document(timeline), Form.JSON if as_json else form)
    else:
        _show(timeline)


def _document(timeline: Timeline) -> dict[str, object]:
    lines = [asdict(step) | {"at": step.at.isoformat()} for step in timeline.steps]
    return {"key": timeline.key, "state": timeline.state, "traces": timeline.traces, "lines": lines}


def _show(timeline: Timeline) -> None:
    traces = (f"trace {found}" for found in timeline.traces)
    click.echo("\t".join([printable(timeline.key), timeline.state or "", *traces]))
    show_steps(timeline)


def show_steps(timeline: Timeline) -> None:
    """Print a table in a terminal; elsewhere a line each, its fields apart by tabs."""
    console = Console(markup=False)
    begin = timeline.begun_at
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
