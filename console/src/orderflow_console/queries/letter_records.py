"""The records of a dead-letter topic: the events as they came, bytes and headers."""

import datetime as dt
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Message, TopicPartition

from orderflow_console.queries.kafka import TIMEOUT_SECONDS, Options, bytes_of, reading, until_end
from orderflow_contracts.dead_letters import LETTER_ID, PREFIX, TOPIC, UNSENT

Header = tuple[str, bytes | None]

_NEAR, _FAR = dt.timedelta(seconds=2), dt.timedelta(minutes=10)
"""Clocks of a service and of a database mostly differ by less than the one, and at most by the other."""


@dataclass(frozen=True, slots=True)
class DeadRecord:
    """One record of the topic; `topic` is the one it came from, `headers` are those it had there.

    `unsent`: it was meant for that topic, and never got there. `written_ms` is when it was written here, Unix time.
    """

    id: uuid.UUID
    at: tuple[int, int]
    topic: str
    key: bytes | None
    headers: list[Header]
    value: bytes
    unsent: bool = False
    written_ms: int = 0


def find_record(options: Options, topic: str, letter_id: uuid.UUID, died_at: dt.datetime) -> DeadRecord | None:
    """Return a letter's last record, None where the topic has it no more; raise `ReadError`.

    It was written when the letter died; only where it does not stand there the topic is read from well before that on.
    """
    behind = (died_at + _NEAR).timestamp() * 1000
    for before in (_NEAR, _FAR):
        found = None
        for record in read_records(options, topic, died_at - before):
            if record.id == letter_id:
                found = record
            elif found is not None and record.written_ms > behind:
                break
        if found is not None:
            return found
    return None


def read_latest(options: Options, topic: str, ids: Collection[uuid.UUID]) -> Iterator[DeadRecord]:
    """Yield the last record of each of these letters; the topic is read twice, so that only one is held at a time.

    A letter that died again stands there again; raise `ReadError` when Kafka does not answer.
    """
    latest = {record.id: record.at for record in read_records(options, topic) if record.id in ids}
    yield from (record for record in read_records(options, topic) if latest.get(record.id) == record.at)


def read_records(options: Options, topic: str, since: dt.datetime | None = None) -> Iterator[DeadRecord]:
    """Yield the records that are in the topic now, in order, those since a time where one is given."""
    with reading(options, topic) as consumer:
        partitions = consumer.list_topics(topic, timeout=TIMEOUT_SECONDS).topics[topic].partitions
        places = [TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions]
        if since is not None:
            times = [TopicPartition(topic, number, int(since.timestamp() * 1000)) for number in partitions]
            places = consumer.offsets_for_times(times, timeout=TIMEOUT_SECONDS)
        for message in until_end(consumer, places):
            yield from _record(message)


def _record(message: Message) -> Iterator[DeadRecord]:
    """Yield the record, if it is a dead letter."""
    headers = _headers(message)
    found = dict(headers)
    try:
        letter_id, topic = uuid.UUID((found[LETTER_ID] or b"").decode()), (found[TOPIC] or b"").decode()
    except (KeyError, ValueError):
        return
    kept = [(name, value) for name, value in headers if not name.startswith(PREFIX)]
    at = (message.partition() or 0, message.offset() or 0)
    key, value = bytes_of(message.key()), bytes_of(message.value()) or b""
    yield DeadRecord(letter_id, at, topic, key, kept, value, UNSENT in found, message.timestamp()[1])


def _headers(message: Message) -> list[Header]:
    # the client's stubs allow forms of headers, keys and values that it never gives for records that were read
    pairs: Any = message.headers() or ()
    return list(pairs)
