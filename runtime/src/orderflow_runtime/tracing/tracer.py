"""Which spans there are and how they hang together: the policy of the resource's `tracing`, and nothing of transport.

`traced_messages.py` and `traced_requests.py` wrap the runtime's parts with it. The rules:

- What begins without a context is the root of a trace whose id is a hash of its key: an order has one trace however
  often its request is repeated, and every process that meets it decides alike whether it is sampled.
- What came with a context belongs to it, and is sampled as it was (parent-based).
- A span's id that rows or records carry is chosen before the transaction; the span itself is told after commit, and of
  a message by whoever publishes it. A trace that is not sampled passes unchanged, at the price of one look at a flag.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random

from orderflow_model.service_config import TracingConfig
from orderflow_model.spec.saga import TraceConsumer
from orderflow_runtime.tracing.span_queue import Span, SpanQueue
from orderflow_runtime.tracing.trace_context import NO_SPAN, Trace


@dataclass(slots=True)
class Asked:
    """An HTTP request under way. `span` is its own place, known when its command is."""

    incoming: Trace
    span: Trace | None = None
    links: list[Trace] = field(default_factory=list)
    commands: dict[str, tuple[str, Trace]] = field(default_factory=dict)
    """Of a request with many commands: by span, the name and place of each, the root of its order's trace."""


@dataclass(slots=True)
class Commanded:
    """A command under way, and the request that handed it in."""

    tracer: "Tracer"
    request: Asked | None
    trace: Trace

    def join(self, run: Trace) -> Trace:
        """Move to the trace of a run that has its own, unless the request's client claims it; return the place."""
        self.trace = self.tracer.join(self.request, self.trace, run)
        return self.trace


asked: ContextVar[Asked | None] = ContextVar("asked", default=None)


class Tracer:
    """Gives places in traces, and takes spans. Without `spans` nothing is recorded, and contexts pass as they are."""

    def __init__(
        self,
        flow: str = "",
        config: TracingConfig | None = None,
        spans: SpanQueue | None = None,
        random: Random | None = None,
    ) -> None:
        config = config or TracingConfig()
        self._flow = flow
        self._spans = spans
        self._parent = config.consumer is TraceConsumer.PARENT
        self._threshold = int(config.share * (1 << 56)) if spans else 0
        self._bits = (random or Random()).getrandbits  # noqa: S311 - ids of spans are no secrets

    @property
    def takes_spans(self) -> bool:
        """Whether spans are recorded and there is room for more: if not, none need be made."""
        return self._spans is not None and not self._spans.full

    def add(self, span: Span) -> None:
        """Tell of a span that ended."""
        if self._spans is not None:
            self._spans.add(span)

    def root(self, key: str) -> Trace:
        """Return the place above all spans of a key that came without a context."""
        digest = blake2b(f"{self._flow}\n{key}".encode(), digest_size=24).hexdigest()
        if int(digest[18:32], 16) < self._threshold:
            return Trace(f"00-{digest[:32]}-{NO_SPAN}-01")
        return Trace(f"00-{digest[:32]}-{digest[32:]}-00")

    def child(self, trace: Trace) -> Trace:
        """Return the place of a new span below; an unrecorded trace as it is."""
        if self._spans is None or not trace.sampled:
            return trace
        return trace.child(self._new_span())

    def handling(self, key: str, trace: Trace) -> Trace:
        """Return the place of what handles an event, timer or outcome that carries `trace`."""
        if trace.parent and (self._spans is None or trace.parent.endswith("-00")):
            return trace
        if not trace.valid:
            return self.child(self.root(key))
        if self._parent or not trace.sampled:
            return self.child(trace)
        return self.fresh()

    def fresh(self) -> Trace:
        """Return the first place of a trace that belongs to nothing."""
        return Trace(f"00-{self._bits(128) or 1:032x}-{self._new_span()}-01", None, NO_SPAN, NO_SPAN)

    def links(self, trace: Trace) -> Sequence[Trace]:
        """Return the links of what handles `trace`: its cause, where that is no parent."""
        return () if self._parent or not trace.valid else (trace,)

    def sending(self, key: str, trace: Trace) -> Trace:
        """Return the place of what sends an event of a key, caused by `trace`."""
        return self.child(trace if trace.parent else self.root(key))

    def commanded(self, name: str, keys: Sequence[str]) -> list[Commanded]:
        """Return the places of a request's commands: one is the request itself; many have a trace each."""
        request = asked.get()
        if request is None:
            return [Commanded(self, None, self.root(key)) for key in keys]
        if len(keys) == 1 and request.span is None:
            request.span = self.child(request.incoming if request.incoming.valid else self.root(keys[0]))
            return [Commanded(self, request, request.span)]
        places = [self.child(self.root(key)) for key in keys]
        request.commands |= {place.span: (name, place) for place in places if place.parent_span_id}
        return [Commanded(self, request, place) for place in places]

    def join(self, request: Asked | None, place: Trace, run: Trace) -> Trace:
        """Return the place of a command on a run that has a trace: the request's, unless its client's claims it."""
        if request is None or self._spans is None or not run.sampled:
            return run
        if request.incoming.valid and request.incoming.id != run.id:
            request.links.append(run)
            return run
        if request.incoming.valid:
            return place
        moved = run.child(place.span) if place.id == run.id and place.parent_span_id else self.child(run)
        if command := request.commands.pop(place.span, None):
            request.commands[moved.span] = (command[0], moved)
        else:
            request.span = moved
        return moved

    def _new_span(self) -> str:
        return f"{self._bits(64) or 1:016x}"
