"""`orderflow redrive`: events that a service gave up, put back; `dead_letters.py` looks at them."""

from itertools import chain
from pathlib import Path

import click

from orderflow_cli.commands.dead_letters import conditions, show_letters
from orderflow_cli.commands.lint import FILE
from orderflow_cli.commands.place import Place, with_kafka
from orderflow_cli.database import ask
from orderflow_cli.dead_letters.records import read_repairs
from orderflow_cli.exit_codes import ExitCode
from orderflow_console.actions.redrive import NOTHING, DeadLetters
from orderflow_console.queries.dead_letters import Condition, get_dead_letters


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
    if able:
        at = DeadLetters(place.name, service, place.kafka, place.database)
        outcomes = chain.from_iterable(at.redrive(able, repairs or NOTHING, dry=dry_run))
        refused |= {one.id: one.refused for one in outcomes if one.refused}
    done = "would be redriven" if dry_run else "redriven"
    show_letters([(letter, refused.get(letter.id, done if letter.dead else "redriven before")) for letter in letters])
    unknown = [] if ids is None or where or limit else sorted(set(ids) - {letter.id for letter in letters}, key=str)
    for letter_id in unknown:
        click.echo(f"{letter_id}\tno dead letter of {service}")
    click.echo(f"{len(able - refused.keys()):,} {done}, {len(refused) + len(unknown):,} refused")
    if refused or unknown:
        raise click.exceptions.Exit(ExitCode.REFUSED)
