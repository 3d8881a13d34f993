"""`orderflow privacy`: erase a person from all that a flow keeps, prove it, and read the trail of what was done."""

import asyncio
import getpass
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import click

from orderflow_cli.commands.lint import FILE, sound_flow
from orderflow_cli.database import DATABASE, FAILURES
from orderflow_cli.errors import NotAnsweredError, NotRunningError, place_of
from orderflow_cli.local.running_flow import find_flow
from orderflow_cli.local.state import DEFAULT_BASE
from orderflow_cli.privacy import audit
from orderflow_cli.privacy.erasure import Erased, Person, erase, find_person
from orderflow_cli.privacy.search import Place, Wanted, opened_texts, search_lake, search_tables, search_topics
from orderflow_console.queries.kafka import Options, client_options
from orderflow_contracts.flow_key import FlowKey
from orderflow_model import environment
from orderflow_model.flow import OrderFlow
from orderflow_model.names import dead_letter_topic_name, schema_name
from orderflow_model.postgres_uri import PostgresUri
from orderflow_model.spec.privacy import PRIVACY
from orderflow_model.topics import event_topic
from orderflow_runtime.postgres.connecting import connect

NOT_COVERED = (
    "backups and write-ahead logs of Postgres, and pages that VACUUM has not cleaned yet",
    "what was written before the flow had spec.privacy, until the topics' retention has passed",
    "objects that services keep elsewhere, as documents: the service removes them after its own commit",
    "logs of others, mail that was sent, and whoever was called: the payment provider, HTTP clients",
)
T = TypeVar("T")


@dataclass(frozen=True)
class Kept:
    """Where a flow keeps what it has."""

    flow: OrderFlow
    key: FlowKey
    database: PostgresUri
    kafka: Options
    lake: str

    @property
    def schemas(self) -> list[str]:
        """The schemas of its services, and that of the keys."""
        return [*(schema_name(service.name) for service in self.flow.services), PRIVACY]

    @property
    def topics(self) -> list[str]:
        """The topics of its events and of its services' dead letters."""
        name = self.flow.metadata.name
        events = [event_topic(self.flow, event).name for event in self.flow.spec.events]
        return events + [dead_letter_topic_name(name, service.name) for service in self.flow.services]


@click.group()
def privacy() -> None:
    """Erase people from a flow, and read the trail of what was done."""


_STATE = click.option(
    "--state", "base", type=FILE, default=DEFAULT_BASE, show_default=True, help="As in orderflow run."
)
_ADMIN = click.option(
    "--database", type=DATABASE, envvar=environment.DATABASE_URL, help="The admin's URI of another database."
)


@privacy.command("erase")
@click.argument("subject")
@click.argument("file", type=FILE)
@click.option("--yes", is_flag=True, help="Do it; otherwise only say what would be done.")
@click.option("--report", type=FILE, help="Also write the report, as JSON, to this file.")
@_STATE
@click.option("--lake", envvar=environment.LAKE, help="Folder of the lake; lake/ in the flow's state otherwise.")
@click.option("--bootstrap", envvar=environment.KAFKA_BOOTSTRAP, help="Another Kafka than the running flow's.")
@_ADMIN
def erase_(subject: str, file: Path, yes: bool, report: Path | None, **given: Any) -> None:
    """Erase the person whose id in the events of the flow in FILE is SUBJECT, and prove it.

    Exits with 1 when something of the person is still found.
    """
    kept = _kept(file, **given)
    said = _asked(kept.database, lambda connection: _erase(connection, kept, subject, yes))
    text = json.dumps(said, indent=1, sort_keys=True)
    click.echo(text)
    if report is not None:
        _write(report, text)
    if yes and not said["clean"]:
        raise click.exceptions.Exit(1)


@privacy.command("audit")
@click.argument("file", type=FILE)
@click.option("--verify", is_flag=True, help="Say whether an entry was changed or is missing; exit with 1 then.")
@click.option("--head", help="A hash that was noted elsewhere, to find out whether the trail's end was cut off.")
@_STATE
@_ADMIN
def audit_(file: Path, verify: bool, head: str | None, base: Path, database: PostgresUri | None) -> None:
    """Show what was done with people's data in the flow in FILE."""
    uri = database or find_flow(base, sound_flow(file).metadata.name).database_of_all()
    trail = _asked(uri, audit.entries)
    if not verify:
        for entry in trail:
            click.echo("\t".join(str(entry[name]) for name in ("number", "at", "who", "what", "subject", "details")))
        return
    verdict = audit.verify(trail, head)
    for fault in verdict.faults:
        click.echo(fault)
    click.echo(f"{verdict.entries:,} entries, the last with hash {verdict.head}")
    if head is None:
        click.echo("Whether its end was cut off the trail itself cannot tell: give --head a hash noted elsewhere")
    if verdict.faults:
        raise click.exceptions.Exit(1)


def _write(report: Path, text: str) -> None:
    try:
        report.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise NotAnsweredError(f"the report is not written: {place_of(error)}", "It stands above: keep it") from None


def _kept(file: Path, base: Path, lake: str | None, bootstrap: str | None, database: PostgresUri | None) -> Kept:
    """Take what is given, the rest from the flow that runs here."""
    flow = sound_flow(file)
    secret = os.environ.get(environment.PRIVACY_KEY)
    if not (secret and database and bootstrap and lake):
        running = find_flow(base, flow.metadata.name)
        secret = secret or running.state.passwords.get(PRIVACY)
        database, bootstrap = database or running.database_of_all(), bootstrap or running.bootstrap()
        lake = lake or str(running.path / "lake")
    if secret is None:
        raise NotRunningError(
            f"flow {flow.metadata.name} has no secret for people's keys here", "Say spec.privacy in it"
        )
    return Kept(flow, FlowKey(flow.metadata.name, secret), database, client_options(bootstrap, os.environ), lake)


def _asked(uri: PostgresUri, question: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    async def answer() -> T:
        connection = await connect(uri)
        try:
            return await question(connection)
        finally:
            await connection.close()

    try:
        return asyncio.run(answer())
    except FAILURES as error:
        raise NotAnsweredError(
            f"not to be answered: {str(error).partition(chr(10))[0]}", "Nothing is half done: run it again"
        ) from None


async def _erase(connection: asyncpg.Connection, kept: Kept, subject: str, yes: bool) -> dict[str, Any]:
    person = await find_person(connection, kept.key, subject)
    # read while there is a key, so that the same is looked for when there is none
    texts = opened_texts(kept.kafka, kept.topics, kept.key, person.key) if person.key else {}
    who = f"{getpass.getuser()} as {await connection.fetchval('SELECT session_user')}"
    erased = await erase(connection, kept.key, subject, kept.schemas, who, keep=not yes)
    left = await find_person(connection, kept.key, subject)
    places = await _look(connection, kept, person, Wanted(subject, texts, _ids(person)))
    return _report(kept, person, left, erased, places, texts)


def _ids(person: Person) -> Sequence[str]:
    own = (str(person.key.person), person.key.person.hex) if person.key else ()
    return (*own, *person.record_keys)


async def _look(connection: asyncpg.Connection, kept: Kept, person: Person, wanted: Wanted) -> list[Place]:
    places = await search_tables(connection, kept.schemas, wanted)
    places += search_topics(kept.kafka, kept.topics, wanted, person.key)
    return places + list(search_lake(Path(kept.lake), wanted, person.key))


def _report(
    kept: Kept, person: Person, left: Person, erased: Erased, places: Sequence[Place], texts: dict[str, str]
) -> dict[str, Any]:
    has_lake = Path(kept.lake).is_dir()
    return {
        "flow": kept.flow.metadata.name,
        "subject": person.hash.hex(),
        "known": person.key is not None,
        "records": len(person.record_keys),
        "erased": asdict(erased),
        "key": left.key is not None,
        "looked_for": sorted({"the person's id", *texts.values()}),
        "places": [place.plain() for place in places],
        "not_looked_into": [] if has_lake else [f"{kept.lake}: no folder here"],
        "not_covered": NOT_COVERED,
        "clean": left.key is None and not any(place.own for place in places),
    }
