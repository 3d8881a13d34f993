"""What handlers do in a batch: their statements go to Postgres at once, their timers, calls and events are gathered.

`dispatcher.py` and `commands.py` make one `Effects` per batch and write what it gathered when the batch closes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import msgspec

from orderflow_contracts.envelope import Envelope
from orderflow_contracts.event import Event
from orderflow_runtime.core.event_log import Message, Partition, batch_bytes, pack
from orderflow_runtime.core.store import BatchTransaction, BatchWrites, CallRow, TimerWrite
from orderflow_runtime.dispatch.masking import Masking
from orderflow_runtime.dispatch.propagation import Propagation
from orderflow_runtime.event_ids import new_event_id
from orderflow_runtime.service import EventTooLargeError
from orderflow_runtime.tracing.trace_context import NONE, Trace


class Clock:
    """The wall clock and ids for outgoing events; due times and leases use the database's clock instead."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        return datetime.now(UTC)

    def new_id(self, key: str) -> str:
        """Return a new id for an event of this key."""
        return new_event_id(key)


class Effects:
    """A `Transaction` for handlers.

    What they make belongs to a shard, the partition whose owner goes on with it: that of the key's item in `shards`,
    else what `shard_of` says.
    """

    def __init__(self, tx: BatchTransaction, shard_of: Callable[[str], Partition]) -> None:
        self._tx = tx
        self._shard_of = shard_of
        self._timers: dict[tuple[str, str], TimerWrite | None] = {}
        self._calls: dict[str, CallRow] = {}
        self._messages: dict[Partition, list[Message]] = {}
        self.in_statement = False
        """Whether a statement was begun and has not ended, be it because its caller was cancelled."""
        self.causes: dict[str, Trace] = {}
        """The trace that effects of a key carry on; set before handlers of the key run."""
        self.shards: dict[str, Partition] = {}
        """The shard of each key's item under way: a key's items of one batch may come from several topics."""

    async def fetch(self, query: str, *args: object) -> Sequence[Mapping[str, Any]]:
        """Run a query in the batch's transaction."""
        with self._statement():
            return await self._tx.fetch(query, *args)

    async def execute(self, query: str, *args: object) -> None:
        """Run a statement in the batch's transaction."""
        with self._statement():
            await self._tx.execute(query, *args)

    async def copy(self, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
        """Add rows to a table in the batch's transaction."""
        with self._statement():
            await self._tx.copy(table, columns, rows)

    @contextmanager
    def _statement(self) -> Iterator[None]:
        self.in_statement = True
        try:
            yield
        except Exception:
            self.in_statement = False
            raise
        self.in_statement = False

    def set_timer(self, name: str, key: str, after: timedelta, payload: Mapping[str, Any] | None = None) -> None:
        """Gather a timer."""
        self._timers[key, name] = TimerWrite(
            self._shard(key), name, key, after, msgspec.json.encode(payload or {}), self.cause(key)
        )

    def cancel_timer(self, name: str, key: str) -> None:
        """Gather that a timer goes."""
        self._timers[key, name] = None

    def call(self, kind: str, key: str, request: Mapping[str, Any], idempotency_key: str) -> None:
        """Gather a call."""
        self._calls[idempotency_key] = CallRow(
            idempotency_key, self._shard(key), kind, key, msgspec.json.encode(request), trace=self.cause(key)
        )

    def cause(self, key: str) -> Trace:
        """Return the trace that effects of a key carry on now."""
        return self.causes.get(key, NONE)

    def carry_on(self, key: str, trace: Trace) -> None:
        """Let the key's timers carry on another trace than they were set in."""
        for at, timer in self._timers.items():
            if timer is not None and at[0] == key:
                self._timers[at] = timer._replace(trace=trace)

    def send(self, message: Message, key: str) -> None:
        """Gather a message that belongs to `key`."""
        self.send_from(self._shard(key), message)

    def _shard(self, key: str) -> Partition:
        return self.shards.get(key) or self._shard_of(key)

    def send_from(self, shard: Partition, message: Message) -> None:
        """Gather a message that the shard's owner publishes."""
        self._messages.setdefault(shard, []).append(message)

    def mark(self) -> "Mark":
        """Remember what is gathered, for `restore` when a savepoint is undone."""
        return dict(self._timers), dict(self._calls), {s: list(m) for s, m in self._messages.items()}

    def restore(self, mark: "Mark") -> None:
        """Forget what was gathered since `mark`."""
        self._timers, self._calls, self._messages = mark

    def writes(self, intake: bool = False) -> BatchWrites:
        """Return what the batch owes so far."""
        writes = BatchWrites(intake=intake, calls=list(self._calls.values()))
        writes.outbox = {shard: pack(messages) for shard, messages in self._messages.items()}
        writes.timers = [timer for timer in self._timers.values() if timer is not None]
        writes.cancelled_timers = [at for at, timer in self._timers.items() if timer is None]
        return writes


Mark = tuple[dict[tuple[str, str], TimerWrite | None], dict[str, CallRow], dict[Partition, list[Message]]]


MAX_EVENT_BYTES = 900_000
"""The largest event that is published; the broker's default limit for a batch is 1,048,588 bytes, headers included."""


class Publisher:
    """Makes messages of events: which topic, which headers. `limits` are topics' own largest batches, in bytes."""

    def __init__(
        self,
        source: str,
        topics: Mapping[type[Event], str],
        clock: Clock,
        propagation: Propagation,
        limits: Mapping[str, int] = MappingProxyType({}),
        privacy: Masking | None = None,
    ) -> None:
        self._source = source
        self._topics = topics
        self._limits = limits
        self._clock = clock
        self._propagation = propagation
        self._privacy = privacy

    async def messages(self, tx: BatchTransaction, events: Sequence[Event], causes: Sequence[Trace]) -> list[Message]:
        """Wrap events, each with the trace that it carries on; what is personal is sealed where the flow says so."""
        if self._privacy is None:
            return [self.message(event, cause) for event, cause in zip(events, causes, strict=True)]
        values = await self._privacy.encode(tx.fetch, events)
        return [self.message(*one) for one in zip(events, causes, values, strict=True)]

    def message(self, event: Event, cause: Trace = NONE, value: bytes | None = None) -> Message:
        """Wrap an event; `cause` is the trace that it carries on, `value` its JSON where that is not its own.

        Raise `EventTooLargeError`, or `LookupError` when the service does not say that it publishes such events.
        """
        if (topic := self._topics.get(type(event))) is None:
            raise LookupError(f"{event.TYPE} is none of the service's `publishes`: add it there and in the resource")
        value = event.encode() if value is None else value
        if len(value) > MAX_EVENT_BYTES:
            raise EventTooLargeError(f"{event.TYPE} of {len(value)} bytes; at most {MAX_EVENT_BYTES} are published")
        trace = self._propagation.sending(event.key, cause)
        envelope = Envelope(
            id=self._clock.new_id(event.key),
            source=self._source,
            type=event.TYPE,
            time=self._clock.now(),
            version=event.data_version,
            traceparent=trace.parent,
            tracestate=trace.state,
        )
        parent_span_ids = (trace.parent_span_id, trace.remote_parent_span_id) if trace.parent_span_id else None
        message = Message(topic, event.key.encode(), envelope.headers(), value, parent_span_ids)
        limit = self._limits.get(topic)
        if limit is not None and (needed := batch_bytes([message])) > limit:
            raise EventTooLargeError(f"{event.TYPE} takes {needed} bytes; topic {topic} takes {limit} at most")
        return message
