"""What all commands have in common; that docs/cli.md tells of them as they are is seen by `make lint`."""

from importlib.metadata import entry_points
from pathlib import Path

import click

from orderflow_cli.exit_codes import ExitCode
from orderflow_cli.main import main
from support.flow.cli_process import invoke

ROOT = Path(__file__).parents[3]


def test_every_command_and_option_says_what_it_is_for() -> None:
    """Nobody has to guess: each has help, and a command line that is wrong ends with its own code."""

    def commands(command: click.Command) -> list[click.Command]:
        inner = command.commands.values() if isinstance(command, click.Group) else ()
        return [command, *(one for child in inner for one in commands(child))]

    for command in commands(main):
        assert command.help, command.name
        assert all(option.help for option in command.params if isinstance(option, click.Option)), command.name
    assert invoke("orders", "list", "--limit", "0").returncode == ExitCode.USAGE
    assert invoke("no-such-command").returncode == ExitCode.USAGE


def test_kubectl_finds_the_command() -> None:
    """A program called `kubectl-orderflow` on the path is `kubectl orderflow`: it is this command."""
    (plugin,) = entry_points(group="console_scripts", name="kubectl-orderflow")
    assert plugin.load() is main


def test_a_port_is_read_or_refused(tmp_path: Path) -> None:
    """`--port` takes a number or a service's, and nothing else."""
    flow = str(ROOT / "manifests" / "flows" / "shop.yaml")
    for wrong in ("x", "order=", "order=0", "order=70000", "=", "order=١"):
        refused = invoke("run", flow, "--port", wrong, "--state", str(tmp_path))
        assert (refused.returncode, "PORT" in refused.stderr) == (ExitCode.USAGE, True), wrong
    refused = invoke("run", flow, "--port", "nobody=8080", "--state", str(tmp_path))
    assert (refused.returncode, "order, inventory" in refused.stderr) == (ExitCode.USAGE, True)
    assert not list(tmp_path.iterdir())
