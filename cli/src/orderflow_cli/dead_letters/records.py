"""The records of a dead-letter topic: read from beginning to end, repaired, and written to where they came from."""

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from orderflow_cli.dead_letters.rows import RedriveError
from orderflow_contracts.dead_letters import LETTER_ID, PREFIX, REDRIVE_OF, TOPIC, UNSENT
from orderflow_model import environment
from orderflow_model.topics import DEAD_LETTER_BYTES

Options = Mapping[str, Any]
Header = tuple[str, bytes | None]

_GROUP = "orderflow-cli"
_TIMEOUT_SECONDS = 30
_AT_ONCE = 100
_SECURITY = {
    environment.KAFKA_SECURITY_PROTOCOL: "security.protocol",
    environment.KAFKA_SASL_MECHANISM: "sasl.mechanism",
    environment.KAFKA_USERNAME: "sasl.username",
    environment.KAFKA_PASSWORD: "sasl.password",
    environment.KAFKA_CA_FILE: "ssl.ca.location",
}


@dataclass(frozen=True, slots=True)
class DeadRecord:
    """One record of the topic; `topic` is the one it came from, `headers` are those it had there.

    `unsent`: it was meant for that topic, and never got there.
    """

    id: uuid.UUID
    at: tuple[int, int]
    topic: str
    key: bytes | None
    headers: list[Header]
    value: bytes
    unsent: bool = False


class Repair(BaseModel):
    """A line of `--repair-with`: what is given replaces what the record had, what is not given stays."""

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


def client_options(bootstrap: str, env: Mapping[str, str]) -> Options:
    """Return how to reach Kafka: its address, and security from the environment as a service has it.

    Raise `RedriveError`, which names the variables, when the client refuses them.
    """
    security = {option: env[name] for name, option in _SECURITY.items() if env.get(name)}
    if security.get("security.protocol", "").startswith("SASL"):
        security.setdefault("sasl.mechanism", "SCRAM-SHA-512")
    options = {"bootstrap.servers": bootstrap, "log_level": 3, **security}
    try:
        Consumer({**options, "group.id": _GROUP, "log_level": 0}).close()
    except KafkaException as error:
        words = error.args[0].str()
        said = [name for name, option in _SECURITY.items() if option in words]
        names = ", ".join(said or [name for name in _SECURITY if env.get(name)])
        raise RedriveError(f"{names}: {words}", "Set them as the flow's services have them") from None
    return options


def read_repairs(path: Path) -> dict[uuid.UUID, Repair]:
    """Read NDJSON; raise `RedriveError` naming the line."""
    repairs = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise RedriveError(f"{path}: {error.strerror}", "Give another file") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                repair = Repair.model_validate_json(line)
            except ValidationError as error:
                problem = error.errors()[0]
                place = ".".join(map(str, problem["loc"]))
                raise RedriveError(f"{path}:{number}: {place} {problem['msg']}", "Correct that line") from None
            repairs[repair.id] = repair
    return repairs


def read_latest(options: Options, topic: str, ids: Collection[uuid.UUID]) -> Iterator[DeadRecord]:
    """Yield the last record of each of these letters; the topic is read twice, so that only one is held at a time.

    A letter that died again stands there again; raise `RedriveError` when Kafka does not answer.
    """
    latest = {record.id: record.at for record in read_records(options, topic) if record.id in ids}
    yield from (record for record in read_records(options, topic) if latest.get(record.id) == record.at)


def read_records(options: Options, topic: str) -> Iterator[DeadRecord]:
    """Yield the records that are in the topic now, in order."""
    own = {"group.id": _GROUP, "enable.auto.commit": False, "enable.partition.eof": True}
    consumer = Consumer({**options, **own, "auto.offset.reset": "earliest"})
    try:
        partitions = consumer.list_topics(topic, timeout=_TIMEOUT_SECONDS).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        yield from _until_end(consumer, set(partitions))
    except KafkaException as error:
        raise RedriveError(f"{topic}: {error.args[0].str()}", "Is Kafka running, and the flow's name right?") from None
    finally:
        consumer.close()


def _until_end(consumer: Consumer, left: set[int]) -> Iterator[DeadRecord]:
    while left:
        message = consumer.poll(_TIMEOUT_SECONDS)
        if message is None:
            raise RedriveError(f"Kafka gave nothing for {_TIMEOUT_SECONDS} s", "Try again")
        error = message.error()
        if error is None:
            yield from _record(message)
        elif error.code() == KafkaError._PARTITION_EOF:
            left.discard(message.partition() or 0)
        else:
            raise KafkaException(error)


def _record(message: Message) -> Iterator[DeadRecord]:
    """Return the record, if it is a dead letter."""
    headers = _headers(message)
    found = dict(headers)
    try:
        letter_id, topic = uuid.UUID((found[LETTER_ID] or b"").decode()), (found[TOPIC] or b"").decode()
    except (KeyError, ValueError):
        return
    kept = [(name, value) for name, value in headers if not name.startswith(PREFIX)]
    at = (message.partition() or 0, message.offset() or 0)
    yield DeadRecord(letter_id, at, topic, _bytes(message.key()), kept, _bytes(message.value()) or b"", UNSENT in found)


def _headers(message: Message) -> list[Header]:
    # the client's stubs allow forms of headers, keys and values that it never gives for records that were read
    pairs: Any = message.headers() or ()
    return list(pairs)


def _bytes(content: Any) -> bytes | None:
    return content if isinstance(content, bytes) else None


class Publisher:
    """Writes records back; `failed` is called with a letter's id and why the broker refused it."""

    def __init__(self, options: Options, failed: Callable[[uuid.UUID, str], None]) -> None:
        own = {"acks": "all", "enable.idempotence": True, "message.max.bytes": DEAD_LETTER_BYTES}
        self._producer = Producer({**options, **own, "partitioner": "consistent"})  # the services' choice by key
        self._failed = failed
        self._waiting = 0
        self.sent: list[uuid.UUID] = []
        """Letters of messages that have reached their topic: nobody else notes that."""

    def publish(self, record: DeadRecord) -> None:
        """Write one record to its topic; one that came from there is marked for the service it died in alone."""

        def report(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                self._failed(record.id, error.str())
            elif record.unsent:
                self.sent.append(record.id)

        headers: list[tuple[str, str | bytes | None]] = [*record.headers]
        if not record.unsent:  # what never was on its topic is for all who subscribe, as if for the first time
            headers.append((REDRIVE_OF, str(record.id).encode()))
        self._producer.produce(record.topic, record.value, record.key, headers=headers, on_delivery=report)
        self._waiting += 1
        if self._waiting == _AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Wait until all are written; raise `RedriveError` when the broker does not answer."""
        self._waiting = 0
        if left := self._producer.flush(_TIMEOUT_SECONDS):
            raise RedriveError(
                f"{left} records may not have been written in {_TIMEOUT_SECONDS} s", "Redrive again: it is safe"
            )


def export(record: DeadRecord) -> dict[str, Any]:
    """Return a record as a line to look at, to repair and to hand to `--repair-with`; `text` where it is not JSON."""
    line: dict[str, Any] = {
        "id": str(record.id),
        "key": None if record.key is None else record.key.decode(errors="replace"),
        "headers": {name: (value or b"").decode(errors="replace") for name, value in record.headers},
    }
    try:
        return line | {"value": from_json(record.value, allow_inf_nan=False)}
    except ValueError:
        return line | {"value": None, "text": record.value.decode(errors="replace")}
