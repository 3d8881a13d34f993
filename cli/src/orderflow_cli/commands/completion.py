"""`orderflow completion`: what a shell needs to complete commands."""

import click
from click.shell_completion import get_completion_class

from orderflow_cli.errors import ToolMissingError

_VARIABLE = "_ORDERFLOW_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script by which SHELL completes commands and options: eval "$(orderflow completion bash)"."""
    made = get_completion_class(shell)
    root = context.find_root()
    if made is None:
        raise ToolMissingError(f"{shell} is not known", "Say bash, zsh or fish")
    click.echo(made(root.command, {}, "orderflow", _VARIABLE).source())
