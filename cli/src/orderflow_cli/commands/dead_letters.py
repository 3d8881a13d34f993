"""`orderflow dead-letters`: events that services gave up, looked at; `redrive.py` puts them back."""

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from pydantic_core import to_json

from orderflow_cli.commands.lint import FILE
from orderflow_cli.commands.place import Place, with_kafka
from orderflow_cli.database import ask
from orderflow_cli.dead_letters.records import export
from orderflow_cli.errors import StateError, place_of
from orderflow_cli.output import Form, cell, document, output_option, show_document, show_list, show_onward, show_table
from orderflow_console.queries.dead_letters import (
    Condition,
    DeadLetter,
    count_dead_letters,
    get_dead_letters,
    list_dead_letters,
    parse_condition,
)
from orderflow_console.queries.errors import UnknownError
from orderflow_console.queries.letter_records import DeadRecord, find_record, read_latest
from orderflow_console.queries.masking import mask, mask_headers, personal_fields
from orderflow_model.names import dead_letter_topic_name

_COLUMNS = ("id", "type", "key", "died_at", "attempts", "redrives")


def conditions(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> list[Condition]:
    """Read `--where`, as often as it is given."""
    try:
        return [parse_condition(text) for text in texts]
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def show_letters(outcomes: Sequence[tuple[DeadLetter, str]]) -> None:
    """Print letters as a table, each with what was or can be done with it."""
    rows = (
        [*(cell(getattr(letter, name)) for name in _COLUMNS), cell(outcome), cell(letter.reason)]
        for letter, outcome in outcomes
    )
    show_table((*_COLUMNS, "outcome", "reason"), rows)


@click.group("dead-letters")
def dead_letters() -> None:
    """Look at the events that services gave up."""


@dead_letters.command("list")
@click.argument("service", required=False)
@click.option("--where", multiple=True, callback=conditions, help="key=TEXT or reason~PART; id, type, topic.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@click.option("--after", metavar="PLACE", help="Go on where the list before ended.")
@click.option("--by-reason", is_flag=True, help="Count them by service, event and reason instead.")
@click.option(
    "--export", "file", type=FILE, help="Write all of SERVICE as NDJSON, to be repaired for redrive --repair-with."
)
@output_option
@with_kafka
def list_command(
    place: Place,
    service: str | None,
    where: list[Condition],
    limit: int,
    after: str | None,
    by_reason: bool,
    file: Path | None,
    form: Form,
) -> None:
    """List what SERVICE gave up, or any service, and was not put back, the oldest first."""
    if by_reason:
        groups = ask(place.database, lambda database: count_dead_letters(database, service))
        show_list(groups, ("service", "type", "letters", "first", "last", "reason"), form)
        return
    if file is not None:
        if service is None:
            raise click.UsageError("--export needs SERVICE")
        _export(place, service, where, file)
    page = ask(place.database, lambda database: list_dead_letters(database, service, where, after, limit))
    if form is not Form.TABLE:
        show_list(page.items, (), form, page)
        return
    show_letters([(letter, letter.refusal_reason() or "can be redriven") for letter in page.items])
    click.echo(f"{len(page.items):,} dead letters")
    if page.next is not None:
        show_onward(page)


@dead_letters.command("get")
@click.argument("service")
@click.argument("letter_id", metavar="ID", type=click.UUID)
@click.option("--file", type=FILE, metavar="FLOW.yaml", help="The flow: it says what is personal.")
@click.option("--unmask", is_flag=True, help="Show what is personal, or may be.")
@output_option
@with_kafka
def get_command(place: Place, service: str, letter_id: uuid.UUID, file: Path | None, unmask: bool, form: Form) -> None:
    """Tell of one dead letter: why it died, and the event as it came.

    What the flow's resource calls personal is masked; where neither --file nor a flow that runs here says what is, all
    values are.
    """
    found = ask(place.database, lambda database: get_dead_letters(database, service, (), [letter_id], None))
    if not found:
        raise UnknownError(f"{service} has no dead letter {letter_id}", "See orderflow dead-letters list")
    letter = found[0]
    record = find_record(place.kafka, dead_letter_topic_name(place.name, service), letter.id, letter.died_at)
    event = None if record is None else _shown(place, record, file, unmask)
    if form is Form.TABLE:
        names = ("service", *_COLUMNS, "topic", "partition", "record_offset", "state", "reason")
        show_table(("", ""), ([name.replace("_", " "), cell(getattr(letter, name))] for name in names))
        click.echo("the event is not in the dead-letter topic any more" if event is None else "the event:")
        form = Form.YAML
        if event is not None:
            show_document(event, form)
        return
    show_document(document(letter) | {"event": event}, form)


def _shown(place: Place, record: DeadRecord, file: Path | None, unmask: bool) -> dict[str, Any]:
    """Return the event's key, headers and data, what is personal masked."""
    shown = export(record)
    del shown["id"]
    if not unmask:
        flow = place.resource(file)
        personal = {} if flow is None else personal_fields(flow)  # by its topic: its type is what its sender says
        shown["headers"] = mask_headers(shown["headers"])
        shown["value"] = mask(shown["value"], personal.get(record.topic))
        if "text" in shown:  # no JSON: nothing can be told apart in it
            shown["text"] = mask(shown["text"], None)
    return shown


def _export(place: Place, service: str, where: list[Condition], file: Path) -> None:
    letters = ask(place.database, lambda database: get_dead_letters(database, service, where, None, None))
    reasons = {letter.id: letter.reason for letter in letters}
    topic = dead_letter_topic_name(place.name, service)
    try:
        with file.open("wb") as out:
            for record in read_latest(place.kafka, topic, reasons.keys()):
                out.write(to_json(export(record) | {"reason": reasons[record.id]}) + b"\n")
    except OSError as error:
        raise StateError(f"{file} cannot be written: {place_of(error)}", "Give another file with --export") from None
