"""`orderflow plan`: what an apply would change, before it does, and which orders that touches."""

from dataclasses import dataclass
from pathlib import Path

import click

from orderflow_cli.cluster import Cluster
from orderflow_cli.commands.lint import FILE, sound_flow
from orderflow_cli.commands.place import Place, with_database
from orderflow_cli.database import ask
from orderflow_cli.errors import LaptopError
from orderflow_cli.exit_codes import ExitCode
from orderflow_cli.output import Form, output_option, show_document
from orderflow_cli.plan.changes import Action, Change, Changes, find_changes
from orderflow_console.queries.database import Database
from orderflow_console.queries.errors import ReadError
from orderflow_console.queries.in_flight import InFlight, find_in_flight
from orderflow_console.queries.instances import count_open
from orderflow_model.flow import OrderFlow

_SIGNS = {Action.ADD: "+", Action.CHANGE: "~", Action.REMOVE: "-"}


@dataclass(frozen=True)
class Touched:
    """What is in flight that a change touches: runs that have not ended, by state, and what services have begun."""

    open_runs: dict[str, int]
    in_flight: tuple[InFlight, ...]


@click.command()
@click.argument("files", nargs=-1, required=True, type=FILE, metavar="[OLD.yaml] FLOW.yaml")
@click.option("--cluster", is_flag=True, help="Compare with the flow on the cluster that KUBECONFIG names.")
@click.option("--namespace", help="Where it is there; of the file, else of the kubeconfig.")
@output_option
@with_database
def plan(place: Place, files: tuple[Path, ...], cluster: bool, namespace: str | None, form: Form) -> None:
    """Tell what an apply of FLOW.yaml would change: against OLD.yaml, the cluster, or the flow that runs here.

    Topics, rights at Kafka, schemas, services and processes, each with its facts before and after; events that leave
    and are heard, since what nobody has read of them by then goes unread; then the runs that have not ended, and the
    events, timers, calls and dead letters of services that the change touches.

    Exits with 3 when the edit would be refused.
    """
    if len(files) > 2 or (cluster and len(files) == 2):
        raise click.UsageError("give one file and what it is compared with, or two files")
    new = sound_flow(files[-1])
    old = sound_flow(files[0]) if len(files) == 2 else _present(place, new, cluster, namespace)
    changes = find_changes(old, new)
    touched = _touched(Place(new.metadata.name, place.base, place.given_database), changes) if changes.objects else None
    if form is Form.TABLE:
        _show(changes, touched)
    else:
        show_document(
            {
                "changes": changes.objects,
                "refused": changes.refused,
                "unheard": changes.unheard,
                "touched": touched,
            },
            form,
        )
    if changes.refused:
        raise click.exceptions.Exit(ExitCode.BREAKS)


def _present(place: Place, new: OrderFlow, cluster: bool, namespace: str | None) -> OrderFlow:
    """Return the flow as it runs now."""
    name = new.metadata.name
    if cluster:
        return Cluster().flow(name, namespace or new.metadata.namespace)
    return Place(name, place.base, None).running.flow()


def _touched(place: Place, changes: Changes) -> Touched | None:
    """Return what is in flight, None where no database tells."""

    async def both(database: Database) -> Touched:
        in_flight = await find_in_flight(database, changes.services, changes.removed_events)
        try:
            return Touched(await count_open(database), in_flight)
        except ReadError:
            return Touched({}, in_flight)

    try:
        return ask(place.database, both)
    except (ReadError, LaptopError) as error:
        click.echo(f"what is in flight is not known: {error}", err=True)
        return None


def _show(changes: Changes, touched: Touched | None) -> None:
    for change in changes.objects:
        stays = " (stays, as deletionPolicy says)" if change.kept else ""
        click.echo(f"{_SIGNS[change.action]} {change.kind} {change.name}{stays}")
        for line in _facts(change):
            click.echo(f"    {line}")
    if not changes.objects:
        click.echo("nothing changes")
    for why in changes.refused:
        click.echo(f"refused: {why}")
    for what in changes.unheard:
        click.echo(f"unheard: {what}")
    if touched is not None:
        _show_touched(touched, changes)


def _facts(change: Change) -> list[str]:
    if change.action is Action.ADD:
        return [f"{one.fact}: {one.after}" for one in change.facts]
    return [f"{one.fact}: {one.before or '(none)'} → {one.after or '(none)'}" for one in change.facts]


def _show_touched(touched: Touched, changes: Changes) -> None:
    runs = {state: count for state, count in touched.open_runs.items() if count}
    if touched.open_runs:
        click.echo("runs not ended: " + (", ".join(f"{state} {count}" for state, count in runs.items()) or "none"))
    for one in touched.in_flight:
        counts = {"parked": one.parked, "timers": one.timers, "calls": one.calls, "dead letters": one.dead_letters}
        told = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
        fate = "nobody will handle" if one.service in changes.removed_services else "touched"
        click.echo(f"{one.service}: {fate}: {told}{' of ' + ' '.join(one.keys) if one.keys else ''}")
