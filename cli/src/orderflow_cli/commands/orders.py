"""`orderflow orders`: runs of the saga, listed, looked at, cancelled and resumed; `load.py` places them."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Any

import click

from orderflow_cli.commands.load import load_command
from orderflow_cli.commands.place import Place, with_database
from orderflow_cli.commands.sample import sample
from orderflow_cli.commands.trace import show_steps
from orderflow_cli.database import ask
from orderflow_cli.errors import LaptopError, UnknownNameError
from orderflow_cli.exit_codes import ExitCode
from orderflow_cli.order_client import Decided, NoOrderServiceError, OrdersNotTakenError, decide
from orderflow_cli.output import TIME, Form, cell, document, output_option, show_document, show_list, show_table
from orderflow_console.queries.database import Database
from orderflow_console.queries.errors import UnknownError
from orderflow_console.queries.instances import Instance, InstanceFilter, Phase, get_instance, list_instances
from orderflow_console.queries.timeline import Timeline, get_timeline

_COLUMNS = ("id", "begun_at", "state", "phase", "reason", "customer")


@click.group()
def orders() -> None:
    """Place orders, find them, look at one, cancel or resume it."""


orders.add_command(load_command)
orders.add_command(sample)


@orders.command("list")
@click.option("--in", "state", metavar="STATE", help="In this state, such as COMPLETED.")
@click.option("--open", "phases", flag_value=Phase.OPEN, multiple=True, help="Not ended, and going on by themselves.")
@click.option("--stuck", "phases", flag_value=Phase.STUCK, multiple=True, help="Waiting for a person.")
@click.option("--reason", help="Ended for this reason, such as CUSTOMER.")
@click.option("--customer", metavar="ID", help="Of this customer.")
@click.option("--since", type=TIME, help="Begun at this time (UTC) or later.")
@click.option("--until", type=TIME, help="Begun before this time (UTC).")
@click.option("--retrying", is_flag=True, help="With an event or call that is tried again now, in any service.")
@click.option("--because", metavar="PART", help="Retrying, and this is part of the reason.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@click.option("--after", metavar="PLACE", help="Go on where the list before ended.")
@output_option
@with_database
def list_command(place: Place, form: Form, limit: int, after: str | None, **asked: Any) -> None:
    """List orders, the newest first; what is looked for has to hold all at once."""
    where = InstanceFilter(
        state=asked["state"],
        phases=frozenset(asked["phases"] or ()),
        reason=asked["reason"],
        customer=asked["customer"],
        since=_utc(asked["since"]),
        until=_utc(asked["until"]),
        retrying=asked["retrying"],
        retrying_because=asked["because"],
    )
    page = ask(place.database, lambda database: list_instances(database, where, after, limit))
    show_list(page.items, _COLUMNS, form, page)


@orders.command("get")
@click.argument("order_id", metavar="ID")
@click.option("--start", type=click.IntRange(min=0), default=0, help="Leave out so many steps of its timeline.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="At most so many steps.")
@output_option
@with_database
def get_command(place: Place, order_id: str, start: int, limit: int, form: Form) -> None:
    """Tell of an order: where it stands, and all that happened to it."""

    async def both(database: Database) -> tuple[Instance, Timeline | None]:
        return await get_instance(database, order_id), await _timeline(database, order_id, start, limit)

    order, timeline = ask(place.database, both)
    if form is not Form.TABLE:
        show_document(document(order) | {"timeline": document(timeline)}, form)
        return
    show_table(("", ""), ([name.replace("_", " "), cell(getattr(order, name))] for name in _COLUMNS))
    if timeline is not None:
        show_steps(timeline)
        left = timeline.total - timeline.start - len(timeline.steps)
        if left > 0:
            click.echo(f"{left} steps more: --start {timeline.start + len(timeline.steps)}", err=True)


async def _timeline(database: Database, order_id: str, start: int, limit: int) -> Timeline | None:
    """Return an order's timeline, None where nothing is remembered: the inboxes forget before orders do."""
    try:
        return await get_timeline(database, order_id, start, limit)
    except UnknownError:
        return None


def _utc(time: dt.datetime | None) -> dt.datetime | None:
    return None if time is None else time.replace(tzinfo=dt.UTC)


def _decide_each(url: str, order_ids: Sequence[str], verb: str) -> tuple[list[Decided], LaptopError | None]:
    """Return what became of the orders, one by one, until nobody answered; and why, where nobody did."""
    decided: list[Decided] = []
    try:
        for order_id in order_ids:
            decided.append(asyncio.run(decide(url, order_id, verb)))
    except (NoOrderServiceError, OrdersNotTakenError) as error:
        return decided, error
    return decided, None


def _deciding(verb: str, about: str) -> click.Command:
    @click.argument("order_ids", metavar="ID...", nargs=-1, required=True)
    @click.option("--url", help="The order service's address; else that of the flow running in this folder.")
    @output_option
    @with_database
    def command(place: Place, order_ids: tuple[str, ...], url: str | None, form: Form) -> None:
        address = url or place.running.entry_url()
        decisions, failure = _decide_each(address, order_ids, verb)
        show_list(decisions, ("id", "state", "reason", "problem"), form)
        if failure is not None:
            raise failure
        refused = [one for one in decisions if one.problem is not None]
        if refused and all(one.unknown for one in refused):
            raise UnknownNameError(
                f"{len(refused)} of {len(decisions)} orders are not there", "See orderflow orders list"
            )
        if refused:
            raise click.exceptions.Exit(ExitCode.REFUSED)

    return click.command(verb, help=about)(command)


orders.add_command(_deciding("cancel", "Cancel orders that are not yet on their way; a second time changes nothing."))
orders.add_command(_deciding("resume", "Try again to undo orders of which that failed."))
