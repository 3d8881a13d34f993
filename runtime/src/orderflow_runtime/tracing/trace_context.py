"""What is carried of a trace, from requests into rows, records and calls and back: W3C Trace Context.

Everything that carries one uses `Trace`; who makes spans is `tracer.py`. Ports ask here for what goes out with a
request. Source: W3C Trace Context (headers `traceparent` and `tracestate`; the flags' lowest bit says "sampled").
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple

from orderflow_contracts.envelope import Header, is_traceparent, trace_context

NO_SPAN = "0" * 16
"""In the place of a span's id: nothing is above. It is never sent."""


class Trace(NamedTuple):
    """A place in a trace: `parent` is a traceparent, `state` a tracestate.

    What came from outside has no more. A place that this service chose for a span of its own has the ids of two others:
    `parent_span_id` is the next above, and `remote_parent_span_id` the nearest that another
    service told of. Only recorded traces have these.
    """

    parent: str | None = None
    state: str | None = None
    parent_span_id: str = ""
    remote_parent_span_id: str = ""

    @property
    def valid(self) -> bool:
        """Whether there is one at all, and a well-formed one."""
        return self.parent is not None and is_traceparent(self.parent)

    @property
    def sampled(self) -> bool:
        """Whether the trace is recorded, by who began it; of a valid one."""
        return self.parent is not None and self.parent[54] in "13579bdf"

    @property
    def recorded(self) -> str | None:
        """The trace's id, where there is a valid one that is recorded: others lead nowhere."""
        return self.id if self.valid and self.sampled else None

    @property
    def id(self) -> str:
        """The trace's id; of a valid one."""
        return (self.parent or "")[3:35]

    @property
    def span(self) -> str:
        """The id of the span that `parent` names; of a valid one."""
        return (self.parent or "")[36:52]

    def at(self, span: str, parent_span_id: str = "", remote_parent_span_id: str = "") -> "Trace":
        """Return another place in the same trace."""
        parent = self.parent or ""
        return Trace(f"{parent[:36]}{span}{parent[52:]}", self.state, parent_span_id, remote_parent_span_id)

    def child(self, span: str) -> "Trace":
        """Return the place of a span of ours right below."""
        return self.at(span, self.span, self.remote_parent_span_id or self.span)

    def left_behind(self) -> "Trace":
        """Return the nearest place that others told of: ours may have died with the process that was to tell it."""
        return self.at(self.remote_parent_span_id) if self.remote_parent_span_id else self

    def told(self) -> "Trace":
        """Return it as one that was told of long ago, whoever did."""
        return Trace(self.parent, self.state)

    def headers(self) -> list[Header]:
        """Return the record headers."""
        found = (("traceparent", self.parent), ("tracestate", self.state))
        return [(name, value.encode()) for name, value in found if value]

    def text(self) -> str | None:
        """Return what a row stores; None for none. The traceparent comes first."""
        state = self.state if self.state and self.state.isascii() and self.state.isprintable() else ""
        return f"{self.parent} {self.parent_span_id} {self.remote_parent_span_id} {state}" if self.valid else None


NONE = Trace()


def read_trace(text: str | None) -> Trace:
    """Read what a row stores."""
    if not text:
        return NONE
    parent, parent_span_id, remote_parent_span_id, state = text.split(" ", 3)
    return Trace(parent, state or None, parent_span_id, remote_parent_span_id)


def trace_of(headers: Iterable[Header]) -> Trace:
    """Return the trace that a record's headers carry, whatever else they are; none where it is not well-formed."""
    return Trace(*trace_context(dict(headers)))


@dataclass(slots=True)
class _Here:
    trace: Trace
    notes: dict[str, str | int] = field(default_factory=dict)


_here: ContextVar[_Here | None] = ContextVar("trace", default=None)


@contextmanager
def within(trace: Trace) -> Iterator[dict[str, str | int]]:
    """Let requests that the block makes belong to a trace; gives what was noted of them."""
    here = _Here(trace)
    token = _here.set(here)
    try:
        yield here.notes
    finally:
        _here.reset(token)


def current() -> Trace:
    """Return the trace that the code running now belongs to."""
    here = _here.get()
    return here.trace if here else NONE


def trace_headers() -> dict[str, str]:
    """Return the headers by which a request to the outside belongs to its order's trace; a `Port` sends them along.

    Outside of a call there are none. Source: W3C Trace Context.

    Example:
        >>> trace_headers()
        {}
    """
    here = _here.get()
    return {name: (value or b"").decode() for name, value in here.trace.headers()} if here else {}


def set_call_attributes(attributes: Mapping[str, str | int]) -> None:
    """Set attributes of the span of the call under way, as only its `Port` knows them; outside of a call, none.

    Args:
        attributes: By OpenTelemetry's names for them.

    Example:
        >>> set_call_attributes({"http.request.method": "POST", "server.address": "provider"})
    """
    if here := _here.get():
        here.notes |= attributes
