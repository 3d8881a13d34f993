"""`orderflow dead-letters`: events that services gave up, looked at; `redrive.py` puts them back."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from pydantic_core import from_json, to_json

from orderflow_cli.commands.lint import FILE
from orderflow_cli.commands.place import Place, with_kafka
from orderflow_cli.database import ask
from orderflow_cli.dead_letters.records import export
from orderflow_cli.errors import StateError, place_of
from orderflow_cli.output import Form, cell, document, output_option, show_document, show_list, show_onward, show_table
from orderflow_console.actions.edit import (
    EditError,
    Terms,
    edited,
    hashes,
    read_data,
    shown_data,
    terms_of,
    with_changes,
)
from orderflow_console.actions.jobs.store import JobState, JobStore, Result, person_here
from orderflow_console.actions.jobs.works import put_edited
from orderflow_console.actions.own_tables import OwnTables
from orderflow_console.actions.redrive import DeadLetters, RedriveError, Repair
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


def changes(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> list[tuple[str, Any]]:
    """Read `--set`: a value that is no JSON is a text."""
    found = []
    for text in texts:
        pointer, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r}: write /FIELD=VALUE")
        try:
            found.append((pointer, from_json(value, allow_inf_nan=False)))
        except ValueError:
            found.append((pointer, value))
    return found


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
    letter, record = _found(place, service, letter_id)
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


@dead_letters.command("edit")
@click.argument("service")
@click.argument("letter_id", metavar="ID", type=click.UUID)
@click.option("--set", "changes", multiple=True, callback=changes, metavar="/FIELD=VALUE", help="A field's new value.")
@click.option("--data", type=FILE, help="A JSON file with all of the event's data, masks where it is to stay.")
@click.option("--personal", is_flag=True, help="Change what is personal too, or may be.")
@click.option("--module", metavar="NAME", help="The Python module that has the events' contracts, as classes.")
@click.option("--file", type=FILE, metavar="FLOW.yaml", help="The flow: it says what is personal, and what data are.")
@with_kafka
def edit_command(
    place: Place,
    service: str,
    letter_id: uuid.UUID,
    changes: list[tuple[str, Any]],
    data: Path | None,
    personal: bool,
    module: str | None,
    file: Path | None,
) -> None:
    """Put one dead letter of SERVICE back with other data, if they are as the event's contract says.

    The event stays itself, by its id. Who did so is kept with a hash of the data before and after.
    """
    if bool(changes) == (data is not None):
        raise click.UsageError("give --set, as often as needed, or --data")
    letter, record = _found(place, service, letter_id)
    if record is None:
        raise UnknownError("the event is not in the dead-letter topic any more", "Choose another")
    if why := letter.refusal_reason() or (None if letter.dead else "its service has taken it back"):
        raise EditError("", why, "See orderflow dead-letters list")
    flow = place.resource(file)
    terms = Terms(None) if flow is None else terms_of(flow, record.topic, module)
    terms = replace(terms, may_change_personal=personal)
    given = read_data(_content(data)) if data else with_changes(shown_data(record, terms.personal), changes)
    repair = edited(record, given, terms)
    at = DeadLetters(place.name, service, place.kafka, place.database)
    asked = {"service": service, "id": str(letter_id), **hashes(record, repair)}
    if why := asyncio.run(_put_back(OwnTables(place.database), at, repair, asked)):
        raise RedriveError(f"{letter_id} was not put back: {why}", "Mend that and try again")
    click.echo(f"{letter_id} was put back as edited")


async def _put_back(tables: OwnTables, at: DeadLetters, repair: Repair, asked: Mapping[str, str]) -> str | None:
    """Note who edits what, put it back and note what came of it; return why that was refused."""
    store = JobStore(tables)
    try:
        item = Result(str(repair.id))
        number = await store.create("edit", at.service, asked, person_here(), [item])
        (results,) = [some async for some in put_edited(at, repair)(await store.get(number), [item.item])]
        await store.note(number, results)
        await store.set_state(number, JobState.DONE)
        return results[0].refused
    finally:
        tables.close()


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise StateError(f"{file} cannot be read: {place_of(error)}", "Give another file with --data") from None


def _found(place: Place, service: str, letter_id: uuid.UUID) -> tuple[DeadLetter, DeadRecord | None]:
    """Return a letter and its last record, if its topic keeps one; raise `UnknownError`."""
    found = ask(place.database, lambda database: get_dead_letters(database, service, (), [letter_id], None))
    if not found:
        raise UnknownError(f"{service} has no dead letter {letter_id}", "See orderflow dead-letters list")
    topic = dead_letter_topic_name(place.name, service)
    return found[0], find_record(place.kafka, topic, letter_id, found[0].died_at)


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
