"""The options by which commands find a flow: the one that runs here, or another by its addresses."""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from orderflow_cli.commands.lint import FILE, sound_flow
from orderflow_cli.database import DATABASE
from orderflow_cli.errors import NotRunningError, StateError
from orderflow_cli.local.running_flow import RunningFlow, find_flow
from orderflow_cli.local.state import DEFAULT_BASE
from orderflow_console.queries.kafka import Options, client_options
from orderflow_model import environment
from orderflow_model.flow import OrderFlow
from orderflow_model.postgres_uri import PostgresUri

ADMIN_URL = "ORDERFLOW_ADMIN_URL"
Command = Callable[..., Any]


@dataclass(frozen=True)
class Place:
    """A flow as the command line says where it is; what it leaves out is that of the flow that runs here.

    Its methods raise `NotRunningError` or `StateError` where none does.
    """

    flow: str | None
    base: Path
    given_database: PostgresUri | None
    bootstrap: str | None = None

    @property
    def running(self) -> RunningFlow:
        """The flow that runs here."""
        return find_flow(self.base, self.flow)

    @property
    def name(self) -> str:
        """The flow's name."""
        return self.flow or self.running.name

    @property
    def database(self) -> PostgresUri:
        """The database, as a user who may read all of it."""
        return self.given_database or self.running.database_of_all()

    @property
    def kafka(self) -> Options:
        """How to reach Kafka; security comes from the environment, as a service has it."""
        return client_options(self.bootstrap or self.running.bootstrap(), os.environ)

    def resource(self, file: Path | None) -> OrderFlow | None:
        """Return the flow in a file, else what runs here; None where nobody knows. Raise `FlowRefusedError`."""
        if file is not None:
            return sound_flow(file)
        try:
            return self.running.flow()
        except (NotRunningError, StateError):
            return None


_FLOW = (
    click.option("--flow", help="The flow's name, where several run from the state directory."),
    click.option("--state", "base", type=FILE, default=DEFAULT_BASE, show_default=True, help="As in orderflow run."),
)
_DATABASE = click.option(
    "--database",
    type=DATABASE,
    envvar=[ADMIN_URL, environment.DATABASE_URL],
    help="URI of another database, by a user who may read all its schemas.",
)
_BOOTSTRAP = click.option(
    "--bootstrap", envvar=environment.KAFKA_BOOTSTRAP, help="Another Kafka than the running flow's."
)


def with_database(command: Command) -> Command:
    """Add the options that say where a flow's database is, handed to the command as `place`."""
    return _with(command, *_FLOW, _DATABASE)


def with_kafka(command: Command) -> Command:
    """Add the options that say where a flow's database and Kafka are, handed to the command as `place`."""
    return _with(command, *_FLOW, _DATABASE, _BOOTSTRAP)


def _with(command: Command, *options: Callable[[Command], Command]) -> Command:
    @functools.wraps(command)
    def placed(*args: Any, flow: str | None, base: Path, database: PostgresUri | None, **kwargs: Any) -> Any:
        place = Place(flow, base, database, kwargs.pop("bootstrap", None))
        return command(*args, place=place, **kwargs)

    made: Command = placed
    for option in reversed(options):
        made = option(made)
    return made
