"""`orderflow kill SERVICE`: SIGKILL one process of a running flow, to watch it recover."""

from pathlib import Path

import click

from orderflow_cli.commands.lint import FILE
from orderflow_cli.errors import NotRunningError
from orderflow_cli.local.state import DEFAULT_BASE
from orderflow_cli.servers import child_process


@click.command()
@click.argument("service")
@click.option("--flow", help="The flow's name, where several run from the state directory.")
@click.option("--state", "base", type=FILE, default=DEFAULT_BASE, show_default=True, help="As given to orderflow run.")
def kill(service: str, flow: str | None, base: Path) -> None:
    """Kill a service of the flow that runs here, or its kafka or postgres; `orderflow run` starts it again."""
    running = {path: pid for path in _pid_files(base, flow) if (pid := child_process.alive(path))}
    found = {path.relative_to(base).parts[0]: pid for path, pid in running.items() if path.stem == service}
    if not found:
        names = ", ".join(sorted(path.stem for path in running)) or "nothing"
        raise NotRunningError(f"no {service} runs from {base}; what runs: {names}", "See orderflow run")
    if len(found) > 1:
        raise NotRunningError(f"several flows run a {service} from {base}: {', '.join(found)}", "Say which with --flow")
    (pid,) = found.values()
    child_process.kill_tree(pid)
    click.echo(f"killed {service}, process {pid}")


def _pid_files(base: Path, flow: str | None) -> list[Path]:
    """Return the files of pids: a service's is `<flow>/pids/<service>`, a server's `<flow>/kafka/kafka.pid`."""
    folders = [folder for folder in sorted(base.glob("*")) if flow in (None, folder.name)]
    return [file for folder in folders for pattern in ("pids/*", "*/*.pid") for file in folder.glob(pattern)]
