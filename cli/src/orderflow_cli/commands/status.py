"""`orderflow status`: where it hurts, on one page."""

import asyncio
from dataclasses import dataclass

import click

from orderflow_cli.commands.place import Place, with_kafka
from orderflow_cli.exit_codes import ExitCode
from orderflow_cli.output import Form, cell, output_option, show_document, show_table
from orderflow_console.queries.database import Database, open_database
from orderflow_console.queries.dead_letters import LetterGroup, count_by_service, count_dead_letters
from orderflow_console.queries.errors import ReadError
from orderflow_console.queries.instances import count_open
from orderflow_console.queries.lag import Lag, LagReader
from orderflow_console.queries.waiting import Waiting, list_waiting

_SECONDS = 2.0
_APART_SECONDS = 1.0
"""Between the two looks from which a trend is seen."""


@dataclass(frozen=True)
class Status:
    """A flow at one time; `open_runs` is empty for a flow that does not tell of runs.

    `dead` counts the letters of each service, `dead_letters` those of its most frequent reasons.
    """

    open_runs: dict[str, int]
    lags: tuple[Lag, ...]
    retrying: tuple[Waiting, ...]
    dead: dict[str, int]
    dead_letters: tuple[LetterGroup, ...]


@click.command()
@click.option("--watch", is_flag=True, help="Again every two seconds, until Ctrl-C.")
@output_option
@with_kafka
def status(place: Place, watch: bool, form: Form) -> None:
    """Tell how a flow is: runs by state, lag in time and its trend, what is retried and what was given up, and why."""
    try:
        asyncio.run(_watch(place, form, watch))
    except KeyboardInterrupt:
        raise click.exceptions.Exit(ExitCode.DONE if watch else ExitCode.INTERRUPTED) from None


async def _watch(place: Place, form: Form, watch: bool) -> None:
    """Look twice, for a trend; then go on with `watch`, also while something does not answer."""
    database = await open_database(place.database)
    try:
        reader = LagReader(database, place.kafka)
        await reader.read()
        await asyncio.sleep(_APART_SECONDS)
        _show(await _read(database, reader), form)
        while watch:
            await asyncio.sleep(_SECONDS)
            try:
                found = await _read(database, reader)
            except ReadError as error:
                click.echo(str(error), err=True)
            else:
                click.clear()
                _show(found, form)
    finally:
        await database.close()


async def _read(database: Database, reader: LagReader) -> Status:
    try:
        runs = await count_open(database)
    except ReadError:
        runs = {}
    return Status(
        open_runs=runs,
        lags=await reader.read(),
        retrying=await list_waiting(database),
        dead=await count_by_service(database),
        dead_letters=await count_dead_letters(database),
    )


def _show(status: Status, form: Form) -> None:
    if form is not Form.TABLE:
        show_document(status, form)
        return
    click.echo("runs not ended: " + (", ".join(f"{state} {n}" for state, n in status.open_runs.items()) or "not told"))
    behind = [lag for lag in status.lags if lag.records]
    click.echo(f"subscriptions behind: {len(behind)} of {len(status.lags)}")
    show_table(
        ("service", "topic", "behind by", "trend", "events"),
        ([lag.service, lag.topic, _age(lag.seconds), lag.trend.lower(), cell(lag.records)] for lag in behind),
    )
    click.echo(f"retrying: {sum(one.events for one in status.retrying):,}")
    titles = ("service", "event", "how many", "reason")
    show_table(titles, ([one.service, one.type, cell(one.events), cell(one.reason)] for one in status.retrying))
    click.echo(f"dead letters: {sum(status.dead.values()):,}")
    show_table(titles, ([one.service, one.type, cell(one.letters), cell(one.reason)] for one in status.dead_letters))


def _age(seconds: float | None) -> str:
    """Return a lag as people say it."""
    if seconds is None:
        return "not known"
    minutes, rest = divmod(int(seconds), 60)
    return (
        f"{minutes // 60} h {minutes % 60} min"
        if minutes >= 60
        else f"{minutes} min {rest} s"
        if minutes
        else f"{seconds:.1f} s"
    )
