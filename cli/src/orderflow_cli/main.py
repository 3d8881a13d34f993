"""The `orderflow` command: its group, to which each module adds its commands."""

import click

from orderflow_cli.commands import analytics, contracts, kill, lint, load, redrive, run, trace


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="orderflow")
def main() -> None:
    """Run an event-driven system from one picture of it: the OrderFlow resource."""


main.add_command(lint.lint)
main.add_command(lint.graph)
main.add_command(run.run)
main.add_command(kill.kill)
main.add_command(load.orders)
main.add_command(redrive.dead_letters)
main.add_command(redrive.redrive)
main.add_command(trace.trace)
main.add_command(analytics.analytics)
main.add_command(contracts.contracts)
