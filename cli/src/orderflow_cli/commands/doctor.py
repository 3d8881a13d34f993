"""`orderflow doctor`: what is in the way of a flow, and how to mend it."""

from collections.abc import Callable, Iterator

import click

from orderflow_cli.commands.place import Place, with_kafka
from orderflow_cli.doctor.check import Check, State
from orderflow_cli.doctor.in_cluster import check_cluster
from orderflow_cli.doctor.machine import check_machine
from orderflow_cli.doctor.running import check_database, check_kafka
from orderflow_cli.errors import LaptopError, NotRunningError
from orderflow_cli.exit_codes import ExitCode
from orderflow_cli.output import Form, cell, output_option, show_document, show_table
from orderflow_console.queries.errors import ReadError

_SIGNS = {State.OK: "✓", State.WARNING: "!", State.FAILED: "✗"}


@click.command()
@click.option("--cluster", is_flag=True, help="Look at the cluster that KUBECONFIG names too.")
@click.option("--namespace", help="Where rights are looked at there; the kubeconfig's otherwise.")
@output_option
@with_kafka
def doctor(place: Place, cluster: bool, namespace: str | None, form: Form) -> None:
    """Look at this machine, at the flow that runs here, and at a cluster; say of each fault how to mend it.

    Exits with 1 when something is in the way of a flow; what is only missed is a warning.
    """
    checks = list(_checks(place, cluster, namespace))
    if form is Form.TABLE:
        rows = ((f"{_SIGNS[one.state]} {one.name}", cell(one.found), cell(one.remedy)) for one in checks)
        show_table(("", "found", "to do"), rows)
    else:
        show_document({"items": checks}, form)
    if any(one.state is State.FAILED for one in checks):
        raise click.exceptions.Exit(ExitCode.REFUSED)


def _checks(place: Place, cluster: bool, namespace: str | None) -> Iterator[Check]:
    yield from check_machine(place.base)
    yield from _found("flow's database", lambda: check_database(place.database))
    yield from _found("flow's Kafka", lambda: check_kafka(place.kafka, place.name))
    if cluster:
        yield from check_cluster(namespace)


def _found(name: str, look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """Yield how a server of the flow is; that nobody says where one is, is no fault of the machine."""
    try:
        yield from look()
    except NotRunningError as error:
        yield Check(name, State.WARNING, error.problem, error.remedy)
    except (LaptopError, ReadError) as error:
        yield Check(name, State.FAILED, error.problem, error.remedy)
