"""`orderflow analytics run`: one run from the events that a running flow has stored to its marts.

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
_HOME = Path("analytics", ".venv", "bin", "python")


@click.group()
def analytics() -> None:
    """Bring the events of a flow into a lake, and ask them."""


@analytics.command("run")
@click.argument("file", type=FILE)
@click.option("--state", "base", type=FILE, default=DEFAULT_BASE, show_default=True, help="As in orderflow run.")
@click.option("--lake", envvar=environment.LAKE, help="Folder or URL of the lake; lake/ in the flow's state otherwise.")
def run(file: Path, base: Path, lake: str | None) -> None:
    """Bring lake and marts of the flow in FILE, which runs here, up to what is stored, once."""
    running = find_flow(base, sound_flow(file).metadata.name)
    told = {
        environment.DATABASE_URL: running.database(SINK).render(),
        environment.LAKE: lake or str(running.path / "lake"),
        environment.KAFKA_BOOTSTRAP: running.bootstrap(),
    }
    command = [_python(), "-m", _MODULE, "run", str(file)]
    raise click.exceptions.Exit(subprocess.run(command, env=os.environ | told, check=False).returncode)  # noqa: S603 - ours


def _python() -> str:
    """Return the Python of the environment that has the lake's packages, which may be this one."""
    if find_spec(_PACKAGE) is not None:
        return sys.executable
    found = Path(sys.prefix).parent / _HOME
    if not found.is_file():
        raise CannotRunHereError("the lake's packages are not installed", "Run make install-analytics")
    return str(found)
