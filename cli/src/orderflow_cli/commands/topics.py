"""`orderflow topics`: the flow's topics as Kafka has them."""

import click

from orderflow_cli.commands.place import Place, with_kafka
from orderflow_cli.database import ask
from orderflow_cli.output import Form, cell, output_option, show_document, show_list, show_table
from orderflow_console.queries.kafka import Options
from orderflow_console.queries.lag import Lag, LagReader
from orderflow_console.queries.topics import get_topic, list_topics, subscribed_topics


@click.group()
def topics() -> None:
    """Look at the topics of a flow."""


@topics.command("list")
@output_option
@with_kafka
def list_command(place: Place, form: Form) -> None:
    """List the flow's topics: partitions, copies, and what is wrong with any."""
    others = ask(place.database, subscribed_topics)
    found = list_topics(place.kafka, place.name, others)
    show_list(found, ("name", "partitions", "replicas", "leaderless", "lagging_copies"), form)


@topics.command("get")
@click.argument("name")
@output_option
@with_kafka
def get_command(place: Place, name: str, form: Form) -> None:
    """Tell of a topic: each partition's leader, copies and offsets, who is behind on it, and its own settings."""
    options = place.kafka
    topic = get_topic(options, name)
    lags = [lag for lag in read_lags(place, options) if lag.topic == name]
    if form is not Form.TABLE:
        show_document({"topic": topic, "lags": lags}, form)
        return
    columns = ("number", "leader", "replicas", "in_sync", "first", "end")
    show_list(topic.partitions, columns, form)
    show_table(("setting", "value"), ([name, cell(value)] for name, value in topic.settings.items()))
    show_list(lags, ("service", "seconds", "records", "behind"), form)


def read_lags(place: Place, options: Options) -> tuple[Lag, ...]:
    """Return how far each subscription is behind now; raise `ReadError`."""
    return ask(place.database, lambda database: LagReader(database, options).read())
