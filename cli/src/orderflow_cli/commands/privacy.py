"""`orderflow privacy`: erase a person from all that a flow keeps, prove it, and read the trail of what was done."""

import asyncio
import getpass
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import click

from orderflow_cli.commands.lint import FILE, sound_flow
from orderflow_cli.database import DATABASE, FAILURES
from orderflow_cli.errors import NotAnsweredError, NotRunningError, place_of
from orderflow_cli.local.running_flow import find_flow
from orderflow_cli.local.state import DEFAULT_BASE
from orderflow_cli.privacy.erasure import Asked, Erased, Person, erase, find_person
from orderflow_cli.privacy.kept import Kept
from orderflow_cli.privacy.lake import LakeFiles
from orderflow_cli.privacy.search import Place, Wanted, opened_texts
from orderflow_console.actions import audit
from orderflow_console.queries.kafka import client_options
from orderflow_contracts.flow_key import FlowKey, PersonKey
from orderflow_model import environment
from orderflow_model.postgres_uri import PostgresUri
from orderflow_model.spec.privacy import PRIVACY
from orderflow_runtime.postgres.connecting import connect

NOT_COVERED = (
    "backups and write-ahead logs of Postgres, and pages that VACUUM has not cleaned yet",
    "what was written before the flow had spec.privacy, until the topics' retention has passed",
    "objects that services keep elsewhere, as documents: the service removes them after its own commit",
    "logs of others, mail that was sent, and whoever was called: the payment provider, HTTP clients",
)
T = TypeVar("T")


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
@click.option(
    "--lake",
    envvar=environment.LAKE,
    help="Folder or URL of the lake, when it is not the resource's.",
)
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
    """Take what is given, the rest from the resource and from the flow that runs here."""
    flow = sound_flow(file)
    secret = os.environ.get(environment.PRIVACY_KEY)
    analytics = flow.spec.analytics
    lake = lake or (analytics.lake.url if analytics and analytics.lake else None)
    if not (secret and database and bootstrap and lake):
        running = find_flow(base, flow.metadata.name)
        secret = secret or running.state.passwords.get(PRIVACY)
        database, bootstrap = database or running.database_of_all(), bootstrap or running.bootstrap()
        lake = lake or str(running.path / "lake")
    if secret is None:
        raise NotRunningError(
            f"flow {flow.metadata.name} has no secret for people's keys here", "Say spec.privacy in it"
        )
    kafka, key = client_options(bootstrap, os.environ), FlowKey(flow.metadata.name, secret)
    return Kept(flow, key, database, kafka, LakeFiles(lake, os.environ))


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
    texts = await _texts(connection, kept, person.key) if person.key else {}
    who = f"{getpass.getuser()} as {await connection.fetchval('SELECT session_user')}"
    asked = Asked(subject, list(texts), kept.services, await kept.schemas(connection), who)
    erased = await erase(connection, kept.key, asked, keep=not yes)
    left = await find_person(connection, kept.key, subject)
    places = await kept.search(connection, Wanted(subject, texts, _ids(person)), person.key)
    return _report(kept, person, left, erased, places, texts)


async def _texts(connection: asyncpg.Connection, kept: Kept, key: PersonKey) -> dict[str, str]:
    """Return all that a person's key opens, wherever events are kept: text → where it stands in its event."""
    found: dict[str, str] = {}
    async for event, data in kept.events(connection, key):
        found |= opened_texts(event, data, kept.key, key)
    return found


def _ids(person: Person) -> Sequence[str]:
    own = (str(person.key.person), person.key.person.hex) if person.key else ()
    return (*own, *person.record_keys)


def _report(
    kept: Kept, person: Person, left: Person, erased: Erased, places: Sequence[Place], texts: dict[str, str]
) -> dict[str, Any]:
    unread = [f"{place.name}: {file} cannot be read" for place in places for file in place.unread]
    missing = [] if kept.lake.are_there() else [f"{kept.lake.place}: no lake is there"]
    return {
        "flow": kept.flow.metadata.name,
        "subject": person.hash.hex(),
        "known": person.key is not None,
        "records": len(person.record_keys),
        "erased": asdict(erased),
        "key": left.key is not None,
        "looked_for": sorted({"the person's id", *texts.values()}),
        "places": [place.plain() for place in places],
        "not_looked_into": unread + missing,
        "not_covered": NOT_COVERED,
        "clean": left.key is None
        and not unread
        and not (missing and "://" in kept.lake.place)
        and not any(place.own for place in places),
    }
