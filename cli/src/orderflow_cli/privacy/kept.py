"""Where a flow keeps what it has, and what services and events once wrote that have left it, which stays by default."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg

from orderflow_cli.privacy.lake import LakeFiles
from orderflow_cli.privacy.search import Place, Wanted, read_topics, search_tables, search_topics, stored_events
from orderflow_console.queries.kafka import TIMEOUT_SECONDS, Options, reading
from orderflow_contracts.flow_key import FlowKey, PersonKey
from orderflow_model.flow import OrderFlow
from orderflow_model.names import dead_letter_topic_name, schema_name
from orderflow_model.postgres_uri import PostgresUri
from orderflow_model.spec.privacy import PRIVACY
from orderflow_model.topics import event_topic

_OWNED = """
SELECT s.nspname FROM pg_namespace AS s JOIN pg_namespace AS p ON p.nspname = $1
WHERE s.nspname LIKE 'orderflow.%' OR obj_description(s.oid, 'pg_namespace') = obj_description(p.oid, 'pg_namespace')
"""
"""What has the owner of people's keys in its comment; a console that no cluster runs has a schema of its own name."""


@dataclass(frozen=True)
class Kept:
    """The places of a flow; `lake` is where its lake is."""

    flow: OrderFlow
    key: FlowKey
    database: PostgresUri
    kafka: Options
    lake: LakeFiles

    @property
    def services(self) -> list[str]:
        """The schemas of the services that it has now."""
        return [schema_name(service.name) for service in self.flow.services]

    async def schemas(self, connection: asyncpg.Connection) -> list[str]:
        """Return its schemas: those of services, also of those that have left, of people's keys, and the console's."""
        owned = [row["nspname"] for row in await connection.fetch(_OWNED, PRIVACY)]
        return list(dict.fromkeys([*self.services, PRIVACY, *sorted(owned)]))

    def topics(self) -> list[str]:
        """Return its topics, of events and of dead letters, also of such as have left; raise `ReadError`."""
        name = self.flow.metadata.name
        now = [event_topic(self.flow, event).name for event in self.flow.spec.events]
        now += [dead_letter_topic_name(name, service.name) for service in self.flow.services if service.uses_kafka]
        with reading(self.kafka, "the flow's topics") as consumer:
            there = consumer.list_topics(timeout=TIMEOUT_SECONDS).topics
        left = [topic for topic in there if topic.startswith(f"{name}.")]
        return list(dict.fromkeys([*now, *sorted(left)]))

    async def events(self, connection: asyncpg.Connection, key: PersonKey) -> AsyncIterator[tuple[str, bytes]]:
        """Yield event and data wherever events are kept in which the key may have sealed something."""
        for record in read_topics(self.kafka, self.topics()):
            yield record.event, record.data
        async for one in stored_events(connection, await self.schemas(connection), key):
            yield one
        for one in self.lake.events():
            yield one

    async def search(self, connection: asyncpg.Connection, wanted: Wanted, key: PersonKey | None) -> list[Place]:
        """Look for a person in all of it."""
        places = await search_tables(connection, await self.schemas(connection), wanted, key)
        places += search_topics(self.kafka, self.topics(), wanted, key)
        return places + self.lake.search(wanted, key)
