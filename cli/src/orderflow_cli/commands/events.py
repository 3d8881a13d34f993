"""`orderflow events`: what is on a topic, browsed."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import click

from orderflow_cli.commands.lint import FILE
from orderflow_cli.commands.place import Place, with_kafka
from orderflow_cli.output import TIME, Form, cell, document, output_option, show_document, show_table
from orderflow_console.queries.events import EventFilter, EventPage, browse_events
from orderflow_console.queries.masking import mask_headers
from orderflow_model.names import topic_name
from orderflow_model.topics import event_topic


@click.group()
def events() -> None:
    """Look at what is on the topics of a flow."""


@events.command("list")
@click.argument("event")
@click.option("--partition", type=click.IntRange(min=0), help="Of this partition.")
@click.option("--key", help="With this key, such as an order's id.")
@click.option("--contains", metavar="TEXT", help="With this text somewhere in the data.")
@click.option("--where", metavar="EXPRESSION", help="For which this expression (CEL) holds: data.amount > 100.")
@click.option("--since", type=TIME, help="From this time (UTC) on, the oldest first; the newest first without it.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@click.option("--after", metavar="PLACE", help="Go on where the list before ended.")
@click.option("--file", type=FILE, metavar="FLOW.yaml", help="The flow: it says what is personal.")
@click.option("--unmask", is_flag=True, help="Show what is personal, or may be.")
@output_option
@with_kafka
def list_command(
    place: Place,
    event: str,
    partition: int | None,
    key: str | None,
    contains: str | None,
    where: str | None,
    since: dt.datetime | None,
    limit: int,
    after: str | None,
    file: Path | None,
    unmask: bool,
    form: Form,
) -> None:
    """List records of EVENT's topic, or of a topic by its own name, and say how far was looked for them.

    What the flow's resource calls personal is masked; where neither --file nor a flow that runs here says what is, all
    values are.
    """
    topic, personal = _topic(place, event, file)
    begin = None if since is None else since.replace(tzinfo=dt.UTC)
    asked = EventFilter(partition=partition, key=key, contains=contains, since=begin, expression=where)
    page = browse_events(place.kafka, topic, asked, after, limit, () if unmask else personal)
    if form is not Form.TABLE:
        items = page.items if unmask else [replace(one, headers=mask_headers(one.headers)) for one in page.items]
        show_document(document(page) | {"items": document(items)}, form)
        return
    names = ("at", "partition", "offset", "key", "data")
    show_table(names, ([cell(getattr(one, name)) for name in names] for one in page.items))
    click.echo(_looked(page), err=True)


def _topic(place: Place, event: str, file: Path | None) -> tuple[str, tuple[str, ...] | None]:
    """Return the topic, and what of its data is personal, None where nobody knows."""
    flow = place.resource(file)
    if flow is None:
        return (event if "." in event else topic_name(place.name, event)), None
    topics = {event_topic(flow, one).name: one for one in flow.spec.events} | {
        one.name: one for one in flow.spec.events
    }
    if event not in topics:
        return event, None
    return event_topic(flow, topics[event]).name, topics[event].personal_data


def _looked(page: EventPage) -> str:
    """Return how far was looked, and how to go on."""
    to = f", to {cell(page.looked_to)}" if page.looked_to else ""
    unjudged = f"; of {page.unjudged:,} the expression cannot be said to hold: {page.why}" if page.unjudged else ""
    onward = f"; go on with --after {page.next}" if page.next else "; that is all"
    return f"looked at {page.records:,} records, {page.bytes:,} bytes{to}{unjudged}{onward}"
