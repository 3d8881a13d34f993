"""`orderflow kill SERVICE`: SIGKILL one process of a running flow, to watch it recover."""

from pathlib import Path

import click

from orderflow_cli.commands.lint import FILE
from orderflow_cli.errors import NotRunningError
from orderflow_cli.local.state import DEFAULT_BASE
from orderflow_cli.servers import child_process


@click.command()
@click.argument("service")
@click.option("--state", "base", type=FILE, default=DEFAULT_BASE, show_default=True, help="As given to orderflow run.")
def kill(service: str, base: Path) -> None:
    """Kill a service of the flow that runs here, or its kafka or postgres; `orderflow run` starts it again."""
    running = {path: pid for path in _pid_files(base) if (pid := child_process.alive(path))}
    found = [pid for path, pid in running.items() if path.stem == service]
    if not found:
        names = ", ".join(sorted(path.stem for path in running)) or "nothing"
        raise NotRunningError(f"no {service} runs from {base}; what runs: {names}", "See orderflow run")
    for pid in found:
        child_process.kill_tree(pid)
        click.echo(f"killed {service}, process {pid}")


def _pid_files(base: Path) -> list[Path]:
    """Return the files of pids: a service's is `<flow>/pids/<service>`, a server's `<flow>/kafka/kafka.pid`."""
    return [*base.glob("*/pids/*"), *base.glob("*/*/*.pid")]
