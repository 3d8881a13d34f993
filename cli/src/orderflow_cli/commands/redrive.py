"""`orderflow redrive`: events that a service gave up, put back; `dead_letters.py` looks at them."""

import uuid
from pathlib import Path

import click

from orderflow_cli.commands.dead_letters import conditions, show_letters
from orderflow_cli.commands.lint import FILE
from orderflow_cli.commands.place import Place, with_kafka
from orderflow_cli.database import ask
from orderflow_cli.dead_letters.records import Publisher, Repair, read_repairs
from orderflow_cli.dead_letters.rows import note_sent
from orderflow_cli.exit_codes import ExitCode
from orderflow_console.queries.dead_letters import Condition, get_dead_letters
from orderflow_console.queries.letter_records import read_latest
from orderflow_model.names import dead_letter_topic_name

_GONE = "not in the dead-letter topic any more"


@click.command()
@click.argument("service")
@click.option("--where", multiple=True, callback=conditions, help="key=TEXT or reason~PART; id, type, topic.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many, the oldest first.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--repair-with", type=FILE, help="NDJSON of {id, value, key, headers}: redrive these, so repaired.")
@with_kafka
def redrive(
    place: Place, service: str, where: list[Condition], limit: int | None, dry_run: bool, repair_with: Path | None
) -> None:
    """Put events that SERVICE gave up back on their topics; it takes each once, other services pass them over.

    Exits with 1 when one of those chosen could not be put back.
    """
    repairs = None if repair_with is None else read_repairs(repair_with)
    ids = None if repairs is None else list(repairs)
    letters = ask(place.database, lambda database: get_dead_letters(database, service, where, ids, limit))
    refused = {letter.id: reason for letter in letters if letter.dead and (reason := letter.refusal_reason())}
    able = {letter.id for letter in letters if letter.dead} - refused.keys()
    refused |= _publish(place, service, able, repairs or {}, dry_run)
    done = "would be redriven" if dry_run else "redriven"
    show_letters([(letter, refused.get(letter.id, done if letter.dead else "redriven before")) for letter in letters])
    unknown = [] if ids is None or where or limit else sorted(set(ids) - {letter.id for letter in letters}, key=str)
    for letter_id in unknown:
        click.echo(f"{letter_id}\tno dead letter of {service}")
    click.echo(f"{len(able - refused.keys()):,} {done}, {len(refused) + len(unknown):,} refused")
    if refused or unknown:
        raise click.exceptions.Exit(ExitCode.REFUSED)


def _publish(
    place: Place, service: str, ids: set[uuid.UUID], repairs: dict[uuid.UUID, Repair], dry_run: bool
) -> dict[uuid.UUID, str]:
    """Put the letters back; return those that were not, with the reason."""
    if not ids:
        return {}
    refused = dict.fromkeys(ids, _GONE)
    options = place.kafka
    failed: dict[uuid.UUID, str] = {}
    publisher = Publisher(options, failed.__setitem__)
    for record in read_latest(options, dead_letter_topic_name(place.name, service), ids):
        del refused[record.id]
        if not dry_run:
            repair = repairs.get(record.id)
            publisher.publish(record if repair is None else repair.apply(record))
    publisher.flush()
    if publisher.sent:
        note_sent(place.database, service, publisher.sent)
    return refused | failed
