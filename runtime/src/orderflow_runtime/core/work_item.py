"""One thing for a handler to do: an event, a timer that fell due, or the outcome of a call.

Items are made of what a batch fetches; parking stores them and makes them again. All three kinds share one form,
so that retry, order by key and dead letters are the same for all.
"""

import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from orderflow_contracts.dead_letters import CALL, REDRIVE_OF, TIMER
from orderflow_contracts.envelope import Envelope, Header, read_content, time_header
from orderflow_contracts.event import Event, UndecodableError
from orderflow_runtime.core.event_log import Partition, Record
from orderflow_runtime.core.headers import keep
from orderflow_runtime.service import CallOutcome, Fired, NotTakenError, Received
from orderflow_runtime.tracing.trace_context import NONE, Trace, trace_of

MAX_KEY = 256
Reveal = Callable[[str, bytes], bytes]
"""Gives an event's data (its type, its data) as the service may see them, where a flow seals what is personal."""


def as_it_is(_: str, data: bytes) -> bytes:
    """Reveal the data of a flow that seals nothing."""
    return data


class Identity(NamedTuple):
    """What tells one event from another: the id that its source gave it, and that source.

    Source: CloudEvents 1.0.2, "id": producers ensure that source and id together are unique for each event.
    """

    id: uuid.UUID
    source: int


class InboxRow(NamedTuple):
    """An inbox row: an event's identity, and what its story needs. Of its time no decision is made."""

    id: uuid.UUID
    source: int
    type: str
    time: datetime
    trace: bytes | None = None
    """The id of the event's trace, where that is recorded."""

    @property
    def identity(self) -> Identity:
        """What makes the row unique: a repeat may come with another time, and by another trace."""
        return Identity(self.id, self.source)


@dataclass(slots=True)
class WorkItem:
    """`type` is an event's name, `timer/NAME` or `call/KIND`; `payload` is what the handler gets."""

    shard: Partition
    key: str
    type: str
    headers: Sequence[Header]
    value: bytes
    payload: Any
    offset: int | None = None
    event_id: str | None = None
    inbox: InboxRow | None = None
    redrive_of: uuid.UUID | None = None
    parked_id: int | None = None
    attempts: int = 0
    call_id: str | None = None
    trace: Trace = NONE
    within: Trace | None = None
    """the place of its handling, in which its effects belong; `trace` where nobody made one"""
    ignored: Sequence[str] = ()
    """metadata of its record that was left aside, by kind"""
    not_taken: NotTakenError | None = None
    """why the service's recipient has not taken it, where there is one"""

    @property
    def cause(self) -> Trace:
        """The trace that its effects carry on."""
        return self.within or self.trace


@dataclass(frozen=True, slots=True)
class Poison:
    """A record that is no event of its topic: it goes to the dead letters at once."""

    record: Record
    type: str
    reason: str
    redrive_of: uuid.UUID | None = None
    ignored: Sequence[str] = ()


def read_item(record: Record, event: type[Event], reveal: Reveal = as_it_is) -> WorkItem | Poison:
    """Decode a record of the topic that carries `event`."""
    redrive_of = None
    headers, ignored = keep(record.headers, (REDRIVE_OF,))
    if ignored:
        record = replace(record, headers=headers)
    try:
        redrive_of = _redrive_of(headers)
        item = _decode(record, event, redrive_of, reveal)
    except UndecodableError as error:
        return Poison(record, event.TYPE, str(error), redrive_of, ignored)
    item.ignored = [*ignored, *item.ignored]
    return item


def _decode(record: Record, event: type[Event], redrive_of: uuid.UUID | None, reveal: Reveal) -> WorkItem:
    content = read_content(record.headers, record.value, record.timestamp)
    envelope = content.envelope
    if envelope.type != event.TYPE:
        raise UndecodableError(f"type {envelope.type[:100]} on the topic of {event.TYPE}")
    key = _key(record)
    data = reveal(event.TYPE, content.data)
    received = Received(event.received(data, envelope, key), envelope.id, envelope.time)
    if (own_key := _own_key(received.event)) != key:
        raise UndecodableError(f"the record's key is {key[:100]}, the event's {own_key[:100]}")
    return WorkItem(
        shard=record.partition,
        key=key,
        type=event.TYPE,
        # whatever comes of it, its time stays that of this record
        headers=[*record.headers, time_header(envelope.time)] if content.timeless else record.headers,
        value=record.value or b"",
        payload=received,
        offset=record.offset,
        event_id=envelope.id,
        inbox=inbox_row(envelope),
        redrive_of=redrive_of,
        trace=Trace(envelope.traceparent, envelope.tracestate),
        ignored=content.ignored,
    )


def _key(record: Record) -> str:
    if not record.key:
        raise UndecodableError("the record has no key")
    try:
        key = record.key.decode()
    except UnicodeDecodeError:
        raise UndecodableError("the record's key is not UTF-8") from None
    if len(key) > MAX_KEY or "\x00" in key:
        raise UndecodableError(f"the record's key is longer than {MAX_KEY} characters or holds NUL")
    return key


def _own_key(event: Event) -> str:
    """Return what an event says is its key, by its author's code."""
    try:
        return str(event.key)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise UndecodableError(f"{event.TYPE}: the code of its key raised {type(error).__name__}") from error


def inbox_row(envelope: Envelope) -> InboxRow:
    """Return the inbox's row of an event."""
    trace = Trace(envelope.traceparent).recorded
    return InboxRow(
        _uuid(envelope),
        _source(envelope.source),
        envelope.type,
        envelope.time,
        bytes.fromhex(trace) if trace else None,
    )


def _uuid(envelope: Envelope) -> uuid.UUID:
    try:
        return uuid.UUID(envelope.id)
    except ValueError:
        digest = hashlib.blake2b(f"{envelope.source}\n{envelope.id}".encode(), digest_size=16).digest()
        return uuid.UUID(bytes=digest)


@lru_cache(1024)
def _source(name: str) -> int:
    """Return a source as the inbox has it: 63 bits of a hash, never 0, which stands for rows that have none."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) >> 1 or 1


def _redrive_of(headers: Sequence[Header]) -> uuid.UUID | None:
    for name, value in headers:
        if name == REDRIVE_OF:
            try:
                return uuid.UUID((value or b"").decode())
            except ValueError:
                raise UndecodableError(f"{REDRIVE_OF} is not the id of a dead letter") from None
    return None


def timer_item(shard: Partition, name: str, key: str, payload: bytes, trace: Trace = NONE) -> WorkItem:
    """Make the item of a timer that fell due; `payload` is JSON, `trace` where it was set."""
    fired = Fired(name, key, msgspec.json.decode(payload))
    return WorkItem(shard, key, TIMER + name, trace.headers(), payload, fired, trace=trace.told())


def outcome_item(shard: Partition, call_id: str, outcome: CallOutcome, trace: Trace = NONE) -> WorkItem:
    """Make the item of a call whose outcome is known; parked, it is stored as JSON `{request, result}`."""
    value = msgspec.json.encode({"request": outcome.request, "result": outcome.result})
    return WorkItem(
        shard, outcome.key, CALL + outcome.kind, trace.headers(), value, outcome, call_id=call_id, trace=trace
    )


def decode_parked(item: WorkItem, event: type[Event] | None, reveal: Reveal = as_it_is) -> None:
    """Give a parked item its payload again; raise `UndecodableError` when today's code cannot read it."""
    item.trace = trace_of(item.headers)
    if item.type.startswith(TIMER):
        item.payload = Fired(item.type.removeprefix(TIMER), item.key, msgspec.json.decode(item.value))
    elif item.type.startswith(CALL):
        known = msgspec.json.decode(item.value)
        item.payload = CallOutcome(item.type.removeprefix(CALL), item.key, known["request"], known["result"])
    elif event is None:
        raise UndecodableError(f"this version has no handler for {item.type}")
    else:
        envelope, data, *_ = read_content(item.headers, item.value)
        data = reveal(event.TYPE, data)
        item.payload = Received(event.received(data, envelope, item.key), envelope.id, envelope.time)
        item.trace = Trace(envelope.traceparent, envelope.tracestate)
        item.event_id, item.redrive_of = envelope.id, _redrive_of(item.headers)
