"""`orderflow lint` and `orderflow graph`: a resource in a file, judged and drawn without running anything."""

from pathlib import Path

import click

from orderflow_cli.errors import FlowRefusedError
from orderflow_model.findings import MOST_SHOWN, Finding, InvalidResourceError
from orderflow_model.flow import OrderFlow
from orderflow_model.graph import mermaid
from orderflow_model.loading.load import load_flow, load_with_warnings

FILE = click.Path(path_type=Path)


@click.command()
@click.argument("files", nargs=-1, required=True, type=FILE, metavar="FILE...")
def lint(files: tuple[Path, ...]) -> None:
    """Say what is wrong or odd in resources; exit with 1 if anything is wrong."""
    sound = [_lint(file) for file in files]
    if not all(sound):
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("file", type=FILE)
def graph(file: Path) -> None:
    """Print the picture of services and events as a Mermaid flowchart."""
    try:
        click.echo(mermaid(load_flow(file)), nl=False)
    except InvalidResourceError as refused:
        _show(file, refused.findings, err=True)
        raise click.exceptions.Exit(1) from None


def sound_flow(file: Path) -> OrderFlow:
    """Return the flow in a file, as it runs on a laptop; raise `FlowRefusedError` when it is not sound."""
    try:
        return load_flow(file).pictured()
    except InvalidResourceError as refused:
        raise FlowRefusedError(f"{file}: {refused}", f"See orderflow lint {file}") from None


def _lint(file: Path) -> bool:
    """Print the findings of one file, and return whether it holds no error."""
    try:
        flow, warnings = load_with_warnings(file)
    except InvalidResourceError as refused:
        _show(file, refused.findings)
        return False
    _show(file, warnings)
    if not warnings:
        click.echo(f"{file}: sound ({len(flow.spec.services)} services, {len(flow.spec.events)} events)")
    return True


def _show(file: Path, findings: tuple[Finding, ...], *, err: bool = False) -> None:
    for finding in findings[:MOST_SHOWN]:
        where = f"{file}:{finding.line}" if finding.line else str(file)
        click.echo(f"{where}: {finding.severity}: {finding}", err=err)
    if len(findings) > MOST_SHOWN:
        click.echo(f"{file}: and {len(findings) - MOST_SHOWN} more", err=err)
