"""Topics of the flow as Kafka has them: partitions, leaders, copies and settings."""

from collections.abc import Collection
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs re-export without saying so
    AdminClient,
    ConfigResource,
    OffsetSpec,
    ResourceType,
)

from orderflow_console.queries.database import Database, quoted, service_schemas, snapshot
from orderflow_console.queries.errors import UnknownError
from orderflow_console.queries.kafka import TIMEOUT_SECONDS, Options, asking


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic; `leaderless` partitions take and give nothing, of `lagging_copies` not all copies are in sync."""

    name: str
    partitions: int
    replicas: int
    leaderless: int
    lagging_copies: int


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition: broker numbers, None without a leader; offsets of the first record and behind the last."""

    number: int
    leader: int | None
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]
    first: int | None
    end: int | None


@dataclass(frozen=True, slots=True)
class TopicDetails:
    """A topic's partitions, and the settings that are its own."""

    name: str
    partitions: tuple[Partition, ...]
    settings: dict[str, str]


async def subscribed_topics(database: Database) -> frozenset[str]:
    """Return the topics that some service of the flow has read from; raise `ReadError`."""
    async with snapshot(database) as connection:
        parts = [f"SELECT topic FROM {quoted(schema)}.offsets" for schema in await service_schemas(connection)]  # noqa: S608 - fixed names
        rows = await connection.fetch(" UNION ".join(parts)) if parts else ()
        return frozenset(row["topic"] for row in rows)


def list_topics(options: Options, flow: str, others: Collection[str] = ()) -> tuple[Topic, ...]:
    """Return the flow's topics, by name: those called after it, and these others; raise `ReadError`."""
    with asking(options, "topics") as admin:
        found = admin.list_topics(timeout=TIMEOUT_SECONDS).topics
    return tuple(
        Topic(
            name=name,
            partitions=len(topic.partitions),
            replicas=max((len(one.replicas) for one in topic.partitions.values()), default=0),
            leaderless=sum(one.leader < 0 for one in topic.partitions.values()),
            lagging_copies=sum(len(one.isrs) < len(one.replicas) for one in topic.partitions.values()),
        )
        for name, topic in sorted(found.items())
        if name.startswith(f"{flow}.") or name in others
    )


def get_topic(options: Options, name: str) -> TopicDetails:
    """Return a topic; raise `UnknownError` when there is none of this name, or `ReadError`."""
    with asking(options, name) as admin:
        found = admin.list_topics(timeout=TIMEOUT_SECONDS).topics.get(name)  # of all: to ask for one may make it
        if found is None:
            raise UnknownError(f"there is no topic {name}", "See orderflow topics list")
        places = [(name, number) for number, one in found.partitions.items() if one.leader >= 0]
        first, end = (offsets(admin, places, spec) for spec in (EARLIEST, LATEST))
        resource = ConfigResource(ResourceType.TOPIC, name)
        entries = admin.describe_configs([resource])[resource].result(TIMEOUT_SECONDS).values()
    partitions = (
        Partition(
            number=number,
            leader=one.leader if one.leader >= 0 else None,
            replicas=tuple(one.replicas),
            in_sync=tuple(one.isrs),
            first=first.get((name, number)),
            end=end.get((name, number)),
        )
        for number, one in sorted(found.partitions.items())
    )
    own = {entry.name: entry.value for entry in entries if entry.source == _OWN and not entry.is_sensitive}
    return TopicDetails(name, tuple(partitions), dict(sorted(own.items())))


def offsets(admin: AdminClient, places: Collection[tuple[str, int]], spec: OffsetSpec) -> dict[tuple[str, int], int]:
    """Return the offset of each partition that can tell it; raise `KafkaException` when Kafka does not answer."""
    asked = {TopicPartition(topic, number): spec for topic, number in places}
    answers = admin.list_offsets(asked, request_timeout=TIMEOUT_SECONDS) if asked else {}
    found = {}
    for place, answer in answers.items():
        try:
            found[(place.topic, place.partition)] = answer.result(TIMEOUT_SECONDS).offset
        except KafkaException as error:
            if error.args[0].code() not in _ABSENT:
                raise
    return found


EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]  # nor typed it all
LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # as above
_OWN = 1  # ConfigSource.DYNAMIC_TOPIC_CONFIG; the client gives its number
_ABSENT = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION)
