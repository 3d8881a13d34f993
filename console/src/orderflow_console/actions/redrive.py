"""Puts dead letters back on the topics that they came from: `orderflow redrive` and the console do it by this.

To redrive twice is safe: a record that came from its topic is marked for the letter, which its service takes back once.
"""

import asyncio
import uuid
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

import asyncpg
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from pydantic import BaseModel
from pydantic_core import to_json

from orderflow_console.queries.errors import ReadError
from orderflow_console.queries.kafka import Options
from orderflow_console.queries.letter_records import DeadRecord, read_latest
from orderflow_contracts.dead_letters import REDRIVE_OF
from orderflow_model.names import dead_letter_topic_name, schema_name
from orderflow_model.postgres_uri import PostgresUri
from orderflow_model.topics import DEAD_LETTER_BYTES
from orderflow_runtime.postgres.connecting import connect

_TIMEOUT_SECONDS = 30
_AT_ONCE = 100
_GONE = "not in the dead-letter topic any more"
_FAILURES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class RedriveError(ReadError):
    """Dead letters cannot be put back."""


class Repair(BaseModel):
    """How a letter's record should be: what is given replaces what it had, what is not given stays."""

    id: uuid.UUID
    value: Any = None
    key: str | None = None
    headers: dict[str, str] | None = None

    def apply(self, record: DeadRecord) -> DeadRecord:
        """Return the record as it should be."""
        return replace(
            record,
            key=record.key if self.key is None else self.key.encode(),
            headers=record.headers if self.headers is None else [(n, v.encode()) for n, v in self.headers.items()],
            value=record.value if self.value is None else to_json(self.value),
        )


NOTHING: Mapping[uuid.UUID, Repair] = MappingProxyType({})
"""No record is changed."""


class Outcome(NamedTuple):
    """What became of a letter; `refused` says why it was not put back."""

    id: uuid.UUID
    refused: str | None = None


@dataclass(frozen=True)
class DeadLetters:
    """One service's dead letters, to be put back: where its topic and its table are, by a user who may write."""

    flow: str
    service: str
    kafka: Options
    database: PostgresUri

    def redrive(
        self,
        ids: Collection[uuid.UUID],
        repairs: Mapping[uuid.UUID, Repair] = NOTHING,
        *,
        dry: bool = False,
    ) -> Generator[list[Outcome], None, None]:
        """Yield what became of these letters, some at a time; whoever stops taking outcomes stops the redrive.

        `dry`: nothing is written. Raise `RedriveError`, or `ReadError`, when Kafka or Postgres does not answer.
        """
        left = set(ids)
        records = read_latest(self.kafka, dead_letter_topic_name(self.flow, self.service), ids)
        producer = self._producer()
        while some := list(islice(records, _AT_ONCE)):
            left -= {record.id for record in some}
            repaired = [repairs[one.id].apply(one) if one.id in repairs else one for one in some]
            yield [Outcome(one.id) for one in some] if dry else self._publish(producer, repaired)
        if left:
            yield [Outcome(one, _GONE) for one in left]

    def _producer(self) -> Producer:
        own = {"acks": "all", "enable.idempotence": True, "message.max.bytes": DEAD_LETTER_BYTES}
        return Producer({**self.kafka, **own, "partitioner": "consistent"})  # the services' choice by key

    def _publish(self, producer: Producer, records: Sequence[DeadRecord]) -> list[Outcome]:
        """Write records to their topics, and wait for the broker's answers."""
        refused: dict[uuid.UUID, str] = {}
        for record in records:
            _produce(producer, record, refused)
        if left := producer.flush(_TIMEOUT_SECONDS):
            raise RedriveError(
                f"{left} records may not have been written in {_TIMEOUT_SECONDS} s", "Redrive again: it is safe"
            )
        self._note_sent([one.id for one in records if one.unsent and one.id not in refused])
        return [Outcome(one.id, refused.get(one.id)) for one in records]

    def _note_sent(self, ids: Sequence[uuid.UUID]) -> None:
        """Note of messages that had not reached their topic that they now have: nobody else notes that."""
        if not ids:
            return
        query = f"""UPDATE "{schema_name(self.service)}".dead_letters SET state = 'Redriven', redrives = redrives + 1
          WHERE id = ANY($1::uuid[])"""  # noqa: S608 - only fixed names are put in
        try:
            asyncio.run(_execute(self.database, query, ids))
        except _FAILURES as error:
            raise RedriveError(
                f"{len(ids)} letters are sent and not noted so: {error}", "Redrive again: it is safe"
            ) from None


def _produce(producer: Producer, record: DeadRecord, refused: dict[uuid.UUID, str]) -> None:
    """Hand a record to the producer; one that came from its topic is marked for the service it died in alone."""

    def report(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            refused[record.id] = error.str()

    headers: list[tuple[str, str | bytes | None]] = [*record.headers]
    if not record.unsent:  # what never was on its topic is for all who subscribe, as if for the first time
        headers.append((REDRIVE_OF, str(record.id).encode()))
    try:
        producer.produce(record.topic, record.value, record.key, headers=headers, on_delivery=report)
    except KafkaException as error:  # the client does not even send it, such as one that is too large
        refused[record.id] = error.args[0].str()


async def _execute(database: PostgresUri, query: str, ids: Iterable[uuid.UUID]) -> None:
    connection = await connect(database)
    try:
        await connection.execute(query, list(ids))
    finally:
        await connection.close()
