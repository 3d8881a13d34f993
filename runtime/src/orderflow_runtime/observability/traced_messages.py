"""The dispatcher and the log with spans around them: `process.py` puts these in the places of the plain ones.

Each wraps one part and changes nothing of what it does; spans are told after the fact, when the part is done. Names
and attributes follow OpenTelemetry's semantic conventions for messaging (docs/decisions/0023).
"""

import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence

from orderflow_contracts.dead_letters import CALL, TIMER
from orderflow_runtime.core.event_log import Message, Partition, Producer, RefusedError
from orderflow_runtime.core.store import DeadLetter, Lease, Store
from orderflow_runtime.core.work_item import WorkItem
from orderflow_runtime.dispatch.dispatcher import Batch, Committed, Dispatcher
from orderflow_runtime.dispatch.execution import HandlerPolicy
from orderflow_runtime.tracing.span_queue import Attributes, Kind, Span, SpanTemplate
from orderflow_runtime.tracing.trace_context import Trace
from orderflow_runtime.tracing.tracer import Tracer

MOST_LINKS = 128
"""Of one batch's span: OpenTelemetry's own default limit."""
_SYSTEM = ("messaging.system", "kafka")


class TracedDispatcher(Dispatcher):
    """Tells of every attempt of a recorded event, and of the batch that held it."""

    def __init__(self, policy: HandlerPolicy, store: Store, tracer: Tracer, group: str) -> None:
        super().__init__(policy, store)
        self._tracer = tracer
        self._templates = _ProcessTemplates(group)

    async def handle(self, batch: Batch, leases: Mapping[Partition, Lease], published: Sequence[int]) -> Committed:
        """Handle a batch, and tell of it when it is committed."""
        began = time.time_ns()
        for item in batch.items:
            item.within = self._tracer.handling(item.key, item.trace)
        committed = await super().handle(batch, leases, published)
        if self._tracer.takes_spans:
            self._tell(committed, began, len(batch.items) + len(batch.poison))
        return committed

    def _tell(self, committed: Committed, began: int, size: int) -> None:
        ended, told = time.time_ns(), []
        for item in committed.handled:
            if item.cause.parent_span_id:
                told.append(self._attempt(item, began, ended, item.attempts))
        for park in committed.parked:
            if park.attempts and park.item.cause.parent_span_id:
                told.append(self._attempt(park.item, began, ended, park.attempts - 1, _type(park.reason)))
        for letter in committed.dead:
            told += self._death(letter, began, ended)
        for span, _ in told:
            self._tracer.add(span)
        if told:
            links = [trace for _, trace in told[:MOST_LINKS] if trace.valid]
            count = (("messaging.batch.message_count", size),)
            self._tracer.add(Span(self._templates.batch, self._tracer.fresh(), began, ended, count, links))

    def _attempt(
        self, item: WorkItem, began: int, ended: int, retries: int, error: str | None = None
    ) -> tuple[Span, Trace]:
        template = self._templates.of(item.type, item.shard.topic)
        attributes = _of_event(item.key, item.event_id, item.shard.number, item.offset)
        if retries:
            attributes += (("orderflow.retries", retries),)
        links = self._tracer.links(item.trace)
        return Span(template, item.cause, began, ended, attributes, links, error), item.trace

    def _death(self, letter: DeadLetter, began: int, ended: int) -> Iterator[tuple[Span, Trace]]:
        """Tell of the last attempt of what is given up, be it that it could not be read."""
        place = self._tracer.handling(letter.key or "", letter.trace)
        if place.parent_span_id:
            template = self._templates.of(letter.type, letter.shard.topic)
            attributes = _of_event(letter.key, letter.event_id, letter.shard.number, letter.offset)
            attributes += (("orderflow.dead_letter.id", str(letter.id)),)
            links = self._tracer.links(letter.trace)
            yield Span(template, place, began, ended, attributes, links, _type(letter.reason)), letter.trace


class _ProcessTemplates:
    """The templates of a service's processing, made as they are met."""

    def __init__(self, group: str) -> None:
        self._group = ("messaging.consumer.group.name", group)
        self._known: dict[tuple[str, str], SpanTemplate] = {}
        operation = (("messaging.operation.name", "process batch"), ("messaging.operation.type", "process"))
        self.batch = SpanTemplate("process batch", Kind.CONSUMER, (_SYSTEM, *operation, self._group))

    def of(self, type_: str, topic: str) -> SpanTemplate:
        """Return the template of an event's processing; timers and outcomes come from no topic."""
        if (template := self._known.get((type_, topic))) is None:
            template = self._known[type_, topic] = self._make(type_, topic)
        return template

    def _make(self, type_: str, topic: str) -> SpanTemplate:
        if type_.startswith((TIMER, CALL)):
            return SpanTemplate(f"process {type_}", Kind.INTERNAL)
        return SpanTemplate(f"process {type_}", Kind.CONSUMER, (*_messaging("process", type_, topic), self._group))


class TracedProducer:
    """A `Producer` that tells of every recorded message it has published."""

    def __init__(self, producer: Producer, tracer: Tracer) -> None:
        self._producer = producer
        self._tracer = tracer
        self._templates: dict[tuple[str, str], SpanTemplate] = {}

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish, and tell what was sent."""
        await self._tell(messages, self._producer.publish)

    async def publish_again(self, messages: Sequence[Message]) -> None:
        """Publish what was refused before, and tell what was sent."""
        await self._tell(messages, self._producer.publish_again)

    async def _tell(self, messages: Sequence[Message], publish: Callable[[Sequence[Message]], Awaitable[None]]) -> None:
        began = time.time_ns()
        try:
            await publish(messages)
        except RefusedError as refused:
            self._tell_sent(messages, {refusal.place for refusal in refused.refusals}, began)
            raise
        self._tell_sent(messages, (), began)

    def _tell_sent(self, messages: Sequence[Message], refused: Collection[int], began: int) -> None:
        if not self._tracer.takes_spans:
            return
        ended = time.time_ns()
        for place, message in enumerate(messages):
            if message.parent_span_ids is not None and place not in refused:
                self._tracer.add(self._sent(message, message.parent_span_ids[0], began, ended))

    def _sent(self, message: Message, parent_span_id: str, began: int, ended: int) -> Span:
        headers = {name: (value or b"").decode() for name, value in message.headers}
        at = headers["ce_type"], message.topic
        if (template := self._templates.get(at)) is None:
            template = self._templates[at] = SpanTemplate(f"send {at[0]}", Kind.PRODUCER, _messaging("send", *at))
        attributes = (
            ("messaging.kafka.message.key", (message.key or b"").decode()),
            ("messaging.message.id", headers["ce_id"]),
        )
        return Span(
            template, Trace(headers["traceparent"], headers.get("tracestate"), parent_span_id), began, ended, attributes
        )


def _messaging(operation: str, event: str, topic: str) -> Attributes:
    """Return the attributes of an operation on an event's topic.

    An event is the same in every flow while its topic is named after the flow: the event is the topic's template, and
    by the conventions a template is what follows the operation in a span's name.
    """
    return (
        _SYSTEM,
        ("messaging.operation.name", operation),
        ("messaging.operation.type", operation),
        ("messaging.destination.name", topic),
        ("messaging.destination.template", event),
    )


def _of_event(key: str | None, event_id: str | None, partition: int, offset: int | None) -> Attributes:
    """Return the attributes of one event; timers and outcomes have no place in a log, what cannot be read has no id."""
    if offset is None:
        return (("orderflow.key", key or ""),)
    place = (("messaging.destination.partition.id", str(partition)), ("messaging.kafka.offset", offset))
    known = (("messaging.kafka.message.key", key), ("messaging.message.id", event_id))
    return (*place, *((name, value) for name, value in known if value is not None))


def _type(reason: str) -> str:
    """Return the error's type alone, as what follows it may be personal; a record that cannot be read has none."""
    found = reason.partition(":")[0]
    return found if found.isidentifier() else "UndecodableError"
