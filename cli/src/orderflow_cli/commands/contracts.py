"""`orderflow contracts`: what a flow's events promise, written down, and held against what was promised before."""

from pathlib import Path

import click

from orderflow_cli.commands.lint import FILE, sound_flow
from orderflow_cli.contracts.event_contract import EventContract, load_contracts
from orderflow_cli.contracts.export import documents, write
from orderflow_cli.contracts.lake import load_models
from orderflow_cli.contracts.published import read_published
from orderflow_cli.exit_codes import ExitCode
from orderflow_cli.terminal import printable
from orderflow_model.contracts.changes import Break, Direction, breaks
from orderflow_model.flow import OrderFlow

_ALWAYS = {Direction.LAKE, Direction.PERSONAL}
_ASKED = {
    "full": _ALWAYS | {Direction.BACKWARD, Direction.FORWARD},
    "backward": _ALWAYS | {Direction.BACKWARD},
    "forward": _ALWAYS | {Direction.FORWARD},
}
_WIDTH = 2000
_module = click.option("--module", help="Python module of the Event classes; spec.analytics.contracts otherwise.")


@click.group()
def contracts() -> None:
    """Write down what events promise, and refuse changes that break it."""


@contracts.command()
@click.argument("file", type=FILE)
@click.option("--to", "folder", type=FILE, required=True, help="Folder of the export; made when it is not there.")
@_module
def export(file: Path, folder: Path, module: str | None) -> None:
    """Write the contracts of the flow in FILE: JSON Schemas, AsyncAPI, ODCS, and a page for people.

    Exit codes: 0 written, 1 not, with the reason, 2 wrong command line.
    """
    flow = sound_flow(file)
    found = load_contracts(flow, module)
    files = documents(flow, found)
    write(folder, files)
    _tell_missing(found)
    click.echo(f"{folder}: {len(files)} documents of {len(found)} events")


@contracts.command()
@click.argument("file", type=FILE)
@click.option("--against", required=True, help="A folder with an export, or COMMIT:FOLDER as git has it there.")
@click.option(
    "--compatibility",
    type=click.Choice(list(_ASKED)),
    default="full",
    show_default=True,
    help="backward: today's readers take older events. forward: readers of before take today's. full: both.",
)
@click.option("--models", type=FILE, help="Folder of the dbt project; spec.analytics.models otherwise.")
@_module
def check(file: Path, against: str, compatibility: str, models: Path | None, module: str | None) -> None:
    """Refuse changes of the flow in FILE that break readers, the lake's columns, or what is marked as personal data.

    Exit codes: 0 nothing breaks, 1 it could not be judged, with the reason, 2 wrong command line, 3 something breaks.
    """
    flow = sound_flow(file)
    found = load_contracts(flow, module)
    refused = [one for one in _breaks(flow, found, against, models) if one.direction in _ASKED[compatibility]]
    _tell_missing(found)
    for one in refused:
        click.echo(printable(str(one), _WIDTH))
    if refused:
        raise click.exceptions.Exit(ExitCode.BREAKS)
    click.echo(f"{file}: nothing breaks ({len(found)} events against {against})")


def _breaks(flow: OrderFlow, found: tuple[EventContract, ...], against: str, models: Path | None) -> tuple[Break, ...]:
    analytics = flow.spec.analytics
    named = models or (Path(analytics.models) if analytics and analytics.models else None)
    known = load_models(named) if named else None
    current = {contract.event: contract.schema for contract in found}
    readers = known.reading if known else None
    return breaks(read_published(against), current, readers, has_lake=analytics is not None or known is not None)


def _tell_missing(found: tuple[EventContract, ...]) -> None:
    if missing := [contract.event for contract in found if contract.schema is None]:
        click.echo(f"no schema is known of {', '.join(missing)} (--module names the module of Event classes)", err=True)
