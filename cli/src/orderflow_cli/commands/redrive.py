"""`orderflow dead-letters` and `orderflow redrive`: events that a service gave up, looked at and put back."""

import os
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pydantic_core import to_json
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orderflow_cli.commands.lint import FILE
from orderflow_cli.database import DATABASE, ask
from orderflow_cli.dead_letters.records import Publisher, Repair, export, read_repairs
from orderflow_cli.dead_letters.rows import note_sent
from orderflow_cli.local.running_flow import find_flow
from orderflow_cli.local.state import DEFAULT_BASE
from orderflow_cli.terminal import printable
from orderflow_console.queries.dead_letters import Condition, DeadLetter, get_dead_letters, parse_condition
from orderflow_console.queries.kafka import client_options
from orderflow_console.queries.letter_records import read_latest
from orderflow_model import environment
from orderflow_model.names import dead_letter_topic_name
from orderflow_model.postgres_uri import PostgresUri

_GONE = "not in the dead-letter topic any more"
Command = Callable[..., None]


@dataclass(frozen=True)
class Place:
    """Where a service's dead letters are."""

    service: str
    topic: str
    bootstrap: str
    database: PostgresUri


def _places(command: Command) -> Command:
    """Add the options that say which flow."""
    options = (
        click.argument("service"),
        click.option("--flow", help="The flow's name, where several run from the state directory."),
        click.option(
            "--state", "base", type=FILE, default=DEFAULT_BASE, show_default=True, help="As in orderflow run."
        ),
        click.option("--bootstrap", envvar=environment.KAFKA_BOOTSTRAP, help="Another Kafka than the running flow's."),
        click.option(
            "--database",
            type=DATABASE,
            envvar=environment.DATABASE_URL,
            help="URI of another database than the running flow's.",
        ),
        click.option("--where", multiple=True, callback=_conditions, help="key=TEXT or reason~PART; id, type, topic."),
        click.option("--limit", type=click.IntRange(min=1), help="At most so many, the oldest first."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _conditions(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> list[Condition]:
    try:
        return [parse_condition(text) for text in texts]
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("dead-letters")
@_places
@click.option(
    "--export", "file", type=FILE, help="Also write them as NDJSON, to be repaired for redrive --repair-with."
)
def dead_letters(where: list[Condition], limit: int | None, file: Path | None, **place: Any) -> None:
    """List the events that SERVICE gave up and that were not put back."""
    at = _place(**place)
    letters = ask(at.database, lambda known: get_dead_letters(known, at.service, where, None, limit))
    _show((letter, letter.refusal_reason() or "can be redriven") for letter in letters)
    click.echo(f"{len(letters):,} dead letters")
    if file is not None:
        _export(at, letters, file)


@click.command()
@_places
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--repair-with", type=FILE, help="NDJSON of {id, value, key, headers}: redrive these, so repaired.")
def redrive(where: list[Condition], limit: int | None, dry_run: bool, repair_with: Path | None, **place: Any) -> None:
    """Put events that SERVICE gave up back on their topics; it takes each once, other services pass them over.

    Exits with 1 when one of those chosen could not be put back.
    """
    at = _place(**place)
    repairs = None if repair_with is None else read_repairs(repair_with)
    ids = None if repairs is None else list(repairs)
    letters = ask(at.database, lambda known: get_dead_letters(known, at.service, where, ids, limit))
    refused = {letter.id: reason for letter in letters if letter.dead and (reason := letter.refusal_reason())}
    able = {letter.id for letter in letters if letter.dead} - refused.keys()
    refused |= _publish(at, able, repairs or {}, dry_run)
    done = "would be redriven" if dry_run else "redriven"
    _show((letter, refused.get(letter.id, done if letter.dead else "redriven before")) for letter in letters)
    unknown = [] if ids is None or where or limit else sorted(set(ids) - {letter.id for letter in letters}, key=str)
    for letter_id in unknown:
        click.echo(f"{letter_id}\tno dead letter of {at.service}")
    click.echo(f"{len(able - refused.keys()):,} {done}, {len(refused) + len(unknown):,} refused")
    if refused or unknown:
        raise click.exceptions.Exit(1)


def _place(service: str, flow: str | None, base: Path, bootstrap: str | None, database: PostgresUri | None) -> Place:
    """Take what is given, the rest from the flow that runs here."""
    if flow is None or bootstrap is None or database is None:
        running = find_flow(base, flow)
        flow = running.name
        bootstrap = bootstrap or running.bootstrap()
        database = database or running.database(service)
    return Place(service, dead_letter_topic_name(flow, service), bootstrap, database)


def _publish(at: Place, ids: set[uuid.UUID], repairs: dict[uuid.UUID, Repair], dry_run: bool) -> dict[uuid.UUID, str]:
    """Put the letters back; gives those that were not, with the reason."""
    if not ids:
        return {}
    refused = dict.fromkeys(ids, _GONE)
    options = client_options(at.bootstrap, os.environ)
    failed: dict[uuid.UUID, str] = {}
    publisher = Publisher(options, failed.__setitem__)
    for record in read_latest(options, at.topic, ids):
        del refused[record.id]
        if not dry_run:
            repair = repairs.get(record.id)
            publisher.publish(record if repair is None else repair.apply(record))
    publisher.flush()
    if publisher.sent:
        note_sent(at.database, at.service, publisher.sent)
    return refused | failed


def _export(at: Place, letters: Sequence[DeadLetter], file: Path) -> None:
    reasons = {letter.id: letter.reason for letter in letters}
    with file.open("wb") as out:
        for record in read_latest(client_options(at.bootstrap, os.environ), at.topic, reasons.keys()):
            out.write(to_json(export(record) | {"reason": reasons[record.id]}) + b"\n")


def _show(letters: Iterable[tuple[DeadLetter, str]]) -> None:
    """Print a table in a terminal; elsewhere a line each, its fields apart by tabs."""
    console = Console(markup=False)
    rows = [_row(letter, outcome) for letter, outcome in letters]
    if not console.is_terminal:
        for row in rows:
            click.echo("\t".join(row))
    elif rows:
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("id", no_wrap=True)  # it is what gets copied
        for title in ("event", "key", "died", "attempts", "redrives", "outcome", "reason"):
            table.add_column(title, overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)


def _row(letter: DeadLetter, outcome: str) -> tuple[str, ...]:
    died = letter.died_at.isoformat(" ", "seconds")
    counts = (str(letter.attempts), str(letter.redrives))
    return (str(letter.id), letter.type, printable(letter.key or ""), died, *counts, outcome, printable(letter.reason))
