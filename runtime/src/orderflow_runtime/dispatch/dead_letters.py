"""Dead letters: what is written of an event that is given up, with all that a redrive needs."""

import hashlib
import uuid
from collections.abc import Iterable

from orderflow_contracts.dead_letters import (
    ATTEMPTS,
    LETTER_ID,
    OFFSET,
    PARTITION,
    PREFIX,
    REASON,
    SERVICE,
    TOPIC,
    UNSENT,
)
from orderflow_contracts.envelope import Header
from orderflow_runtime.core.event_log import Message, Partition
from orderflow_runtime.core.store import DeadLetter
from orderflow_runtime.core.work_item import Poison, WorkItem
from orderflow_runtime.tracing.trace_context import trace_of


def dead_letter_of_item(item: WorkItem, service: str, attempts: int, reason: str) -> DeadLetter:
    """Describe an item whose last attempt failed."""
    offset = item.offset if item.offset is not None else item.parked_id
    letter_id = item.redrive_of or _letter_id(service, item.type, item.shard, offset, item.event_id)
    return DeadLetter(
        letter_id, item.shard, item.offset, item.key, item.type, item.event_id, attempts, reason, item.trace
    )


def dead_letter_of_poison(poison: Poison, service: str) -> DeadLetter:
    """Describe a record that could not be read; its key is shown as far as it is text."""
    record = poison.record
    key = None if record.key is None else record.key[:256].decode(errors="replace").replace("\x00", "\ufffd")
    letter_id = poison.redrive_of or _letter_id(service, poison.type, record.partition, record.offset)
    trace = trace_of(record.headers)
    return DeadLetter(letter_id, record.partition, record.offset, key, poison.type, None, 0, poison.reason, trace)


def dead_letter_message(
    letter: DeadLetter, service: str, topic: str, key: bytes | None, headers: Iterable[Header], value: bytes | None
) -> Message:
    """Make the record for the dead-letter topic: the original's key, headers and bytes, and why it is here."""
    kept = [(name, body) for name, body in headers if name == UNSENT or not name.startswith(PREFIX)]
    ours: list[Header] = [
        (LETTER_ID, str(letter.id).encode()),
        (SERVICE, service.encode()),
        (REASON, letter.reason.encode()),
        (ATTEMPTS, b"%d" % letter.attempts),
        (TOPIC, letter.shard.topic.encode()),
        (PARTITION, b"%d" % letter.shard.number),
    ]
    if letter.offset is not None:
        ours.append((OFFSET, b"%d" % letter.offset))
    return Message(topic, key, kept + ours, value or b"")


def _letter_id(
    service: str, type_: str, shard: Partition, offset: int | None, event_id: str | None = None
) -> uuid.UUID:
    name = f"{service}\n{type_}\n{shard.topic}\n{shard.number}\n{offset}\n{event_id or ''}"
    return uuid.UUID(bytes=hashlib.blake2b(name.encode(), digest_size=16).digest())
