"""The records of dead letters as people repair them, and as they are written to where they came from."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, Message, Producer
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from orderflow_cli.dead_letters.rows import RedriveError
from orderflow_console.queries.kafka import Options
from orderflow_console.queries.letter_records import DeadRecord
from orderflow_contracts.dead_letters import REDRIVE_OF
from orderflow_model.topics import DEAD_LETTER_BYTES

_TIMEOUT_SECONDS = 30
_AT_ONCE = 100


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
