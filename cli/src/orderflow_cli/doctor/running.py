"""Whether a flow that runs can be reached and read."""

from collections.abc import Iterator

from orderflow_cli.database import ask
from orderflow_cli.doctor.check import Check, State, look
from orderflow_console.queries.database import Database, service_schemas, snapshot
from orderflow_console.queries.errors import ReadError
from orderflow_console.queries.kafka import Options
from orderflow_console.queries.topics import list_topics
from orderflow_console.queries.waiting import list_waiting
from orderflow_model.postgres_uri import PostgresUri


def check_database(uri: PostgresUri) -> Iterator[Check]:
    """Yield whether the database answers, is a flow's, and may be read."""

    async def schemas(database: Database) -> str:
        async with snapshot(database) as connection:
            found = await service_schemas(connection)
        if not found:
            raise ReadError("it has no schema of a service", "Is it the flow's database? Has it been migrated?")
        return f"schemas {', '.join(found)}"

    async def readable(database: Database) -> str:
        return f"may be read; {sum(one.events for one in await list_waiting(database)):,} events are retried"

    yield (answers := look("flow's database", lambda: ask(uri, schemas)))
    if answers.state is State.OK:
        yield look("rights in it", lambda: ask(uri, readable))


def check_kafka(options: Options, flow: str) -> Iterator[Check]:
    """Yield whether the flow's Kafka answers, and has a leader for each partition of its topics."""

    def topics() -> str:
        found = list_topics(options, flow)
        if not found:
            raise ReadError(f"it has no topic of {flow}", "Is it the flow's Kafka? Was the flow ever started?")
        if bad := [topic.name for topic in found if topic.leaderless]:
            raise ReadError(f"no leader for partitions of {', '.join(bad[:5])}", "Are all brokers up?")
        return f"{len(found)} topics, each partition has its leader"

    yield look("flow's Kafka", topics)
