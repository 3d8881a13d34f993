"""`orderflow analytics run|ui`: from the events that a running flow has stored to its marts, once or as a graph to see.

The lake and its models have an environment of their own, in which the work is done; this command tells it where things
are.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from orderflow_cli.commands.lint import FILE, sound_flow
from orderflow_cli.errors import CannotRunHereError
from orderflow_cli.local.running_flow import find_flow
from orderflow_cli.local.state import DEFAULT_BASE
from orderflow_model import environment
from orderflow_model.spec.analytics import SINK

_MODULE = "orderflow_analytics"
_PACKAGE = "deltalake"
_DAGSTER_HOME = "DAGSTER_HOME"
"""Dagster's own variable: where it keeps its state."""
_HOME = Path("analytics", ".venv", "bin", "python")


@click.group()
def analytics() -> None:
    """Bring the events of a flow into a lake, and ask them."""


_STATE = click.option(
    "--state", "base", type=FILE, default=DEFAULT_BASE, show_default=True, help="As in orderflow run."
)
_LAKE = click.option(
    "--lake", envvar=environment.LAKE, help="Folder or URL of the lake; lake/ in the flow's state otherwise."
)


@analytics.command("run")
@click.argument("file", type=FILE)
@_STATE
@_LAKE
def run(file: Path, base: Path, lake: str | None) -> None:
    """Bring lake and marts of the flow in FILE, which runs here, up to what is stored, once."""
    command, told = _command("run", file, base, lake)
    raise click.exceptions.Exit(subprocess.run(command, env=told, check=False).returncode)  # noqa: S603 - ours


@analytics.command("ui")
@click.argument("file", type=FILE)
@_STATE
@_LAKE
def ui(file: Path, base: Path, lake: str | None) -> None:
    """Show what becomes of the events of the flow in FILE as a graph, and keep to its schedule, until Ctrl-C."""
    command, told = _command("ui", file, base, lake)
    os.execve(command[0], command, told)  # noqa: S606 - ours: whoever ends this command ends what it has become


def _command(name: str, file: Path, base: Path, lake: str | None) -> tuple[list[str], dict[str, str]]:
    """Return the command that does it in the lake's environment, and the variables that tell it where things are."""
    running = find_flow(base, sound_flow(file).metadata.name)
    told = {
        environment.DATABASE_URL: running.database(SINK).render(),
        environment.LAKE: lake or str(running.path / "lake"),
        environment.KAFKA_BOOTSTRAP: running.bootstrap(),
        _DAGSTER_HOME: str((running.path / "dagster").absolute()),
    }
    return [_python(), "-m", _MODULE, name, str(file)], os.environ | told


def _python() -> str:
    """Return the Python of the environment that has the lake's packages, which may be this one."""
    if find_spec(_PACKAGE) is not None:
        return sys.executable
    found = Path(sys.prefix).parent / _HOME
    if not found.is_file():
        raise CannotRunHereError("the lake's packages are not installed", "Run make install-analytics")
    return str(found)
