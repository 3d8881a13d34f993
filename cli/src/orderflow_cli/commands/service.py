"""`orderflow service new`: a folder, a test and an entry in the resource, from which a new service begins."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path
from shutil import copymode

import click

from orderflow_cli.commands.lint import FILE, sound_flow
from orderflow_cli.errors import LaptopError, place_of
from orderflow_cli.scaffold.package import NewService
from orderflow_cli.scaffold.resource import Entries, NotWrittenError, with_entries, written
from orderflow_model.findings import InvalidResourceError
from orderflow_model.names import role_name


class ServiceRefusedError(LaptopError):
    """The service cannot be made as it was asked for; nothing was written."""


@click.group()
def service() -> None:
    """Make services."""


@service.command("new")
@click.argument("name")
@click.option("--flow", "file", type=FILE, required=True, metavar="FLOW.yaml", help="The resource that gets its entry.")
@click.option("--on", "hears", multiple=True, metavar="EVENT", help="An event that it hears; one or more.")
@click.option("--publishes", "says", multiple=True, metavar="EVENT", help="An event that it says; new ones are added.")
@click.option(
    "--to", "packages", type=FILE, default=Path("services/src"), show_default=True, help="Folder of packages."
)
@click.option("--tests", type=FILE, default=Path("tests"), show_default=True, help="Where tests are.")
@click.option("--print", "only_print", is_flag=True, help="Leave the resource alone, and print what to add.")
def new(
    name: str,
    file: Path,
    hears: tuple[str, ...],
    says: tuple[str, ...],
    packages: Path,
    tests: Path,
    only_print: bool,
) -> None:
    """Make a service NAME that runs, with a migration and a test that passes, and its entry in the resource.

    Comments and order of the resource's file stay; where it is written so that nothing can be added, what to add is
    printed. Nothing that is there is overwritten.
    """
    if not hears:
        raise click.UsageError("--on: say what it hears, one event or more")
    flow = sound_flow(file)
    image = flow.spec.services[0].image
    made = NewService(name, role_name(flow.metadata.name, name), image, hears, says)
    if event := made.clash():
        raise ServiceRefusedError(f"{event} cannot have a class of its name in {name}", "Hear or say another event")
    known = {event.name for event in flow.spec.events}
    entries: Entries = {"services": [made.entry()], "events": [{"name": event} for event in says if event not in known]}
    entries = {part: added for part, added in entries.items() if added}
    text = _read(file)
    added = _added(file, text, entries, made)
    test = tests / f"test_{made.package}.py"
    made_files = {packages / path: content for path, content in made.files().items()} | {test: made.test()}
    _write(made_files)
    if added is None or only_print:
        click.echo(f"add to {file}:")
        for part, listed in entries.items():
            lines = [line for entry in listed for line in written(entry)]
            click.echo("\n".join([f"spec.{part}:", *(f"  {line}" for line in lines)]))
    else:
        _rewrite(file, added, made_files)
        click.echo(f"{file}: service {name} added")
    invalidate_caches()
    path = "" if find_spec(made.package) else f"PYTHONPATH={packages} "
    click.echo(f"now: {path}python -m pytest {test}, then {path}orderflow run {file}")


def _added(file: Path, text: str, entries: Entries, made: NewService) -> str | None:
    """Return the resource with its new entries, None where a person has to write them; refuse what is not sound."""
    try:
        return with_entries(text, entries)
    except InvalidResourceError as refused:
        raise ServiceRefusedError(f"with {made.name}, {file} is no sound flow: {refused}", "Mend that") from None
    except NotWrittenError:
        return None


def _write(files: Mapping[Path, str]) -> None:
    """Write new files, all or none; raise `ServiceRefusedError` when one is there or cannot be written."""
    if there := [path for path in files if path.exists()]:
        raise ServiceRefusedError(f"{there[0]} is there already", "Give the service another name, or other folders")
    try:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
    except OSError as error:
        _remove(files)
        raise ServiceRefusedError(f"nothing was made: {place_of(error)}", "Give other folders") from None


def _rewrite(file: Path, text: str, made: Iterable[Path]) -> None:
    """Write the resource anew, all of it or nothing; where that cannot be, take back what was made."""
    there = file.resolve()
    scratch = there.with_name(f".{there.name}.new")
    try:
        with there.open("ab"), scratch.open("w", encoding="utf-8", newline="") as out:  # where it may be written at all
            out.write(text)
        copymode(there, scratch)
        scratch.replace(there)
    except OSError as error:
        _remove([*made, scratch])
        raise ServiceRefusedError(f"nothing was made: {place_of(error)}", "Give --print, and add it yourself") from None


def _remove(files: Iterable[Path]) -> None:
    for path in files:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _read(file: Path) -> str:
    """Return the text with the line ends that it has."""
    with file.open(encoding="utf-8", newline="") as source:
        return source.read()
