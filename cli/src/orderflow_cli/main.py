"""The `orderflow` command: its group, to which each module adds its commands."""

from typing import Any

import click

from orderflow_cli.commands import (
    analytics,
    completion,
    console,
    contracts,
    dead_letters,
    doctor,
    events,
    kill,
    lint,
    orders,
    plan,
    privacy,
    redrive,
    run,
    service,
    status,
    topics,
    trace,
)
from orderflow_cli.errors import NotAnsweredError, UnknownNameError
from orderflow_console.queries.errors import ReadError, UnknownError
from orderflow_model.contracts.errors import ContractsError


class Commands(click.Group):
    """All commands; what the read model or the contracts cannot answer ends each of them alike."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; raise `UnknownNameError` or `NotAnsweredError` for a question without one."""
        try:
            return super().invoke(ctx)
        except UnknownError as error:
            raise UnknownNameError(error.problem, error.remedy) from None
        except (ContractsError, ReadError) as error:
            raise NotAnsweredError(error.problem, error.remedy) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="orderflow")
def main() -> None:
    """Run an event-driven system from one picture of it: the OrderFlow resource."""


main.add_command(lint.lint)
main.add_command(lint.graph)
main.add_command(plan.plan)
main.add_command(service.service)
main.add_command(run.run)
main.add_command(kill.kill)
main.add_command(orders.orders)
main.add_command(topics.topics)
main.add_command(events.events)
main.add_command(status.status)
main.add_command(console.console)
main.add_command(dead_letters.dead_letters)
main.add_command(redrive.redrive)
main.add_command(trace.trace)
main.add_command(analytics.analytics)
main.add_command(contracts.contracts)
main.add_command(doctor.doctor)
main.add_command(completion.completion)
main.add_command(privacy.privacy)
