"""The hook by which traces pass through what a service makes. Who makes spans of them, and which, stands behind it.

What is carried is a `Trace`, the headers `traceparent` and `tracestate`: those of the cause go in, those to send along
come out. `tracer.py` has the one there is.
"""

from collections.abc import Sequence
from typing import Protocol

from orderflow_runtime.tracing.trace_context import Trace


class CommandTrace(Protocol):
    """A command's place, while it is under way."""

    trace: Trace

    def join(self, run: Trace) -> Trace:
        """Move to the trace of the command's run, unless the request's client claims it; return it."""
        ...


class Propagation(Protocol):
    """Chooses the traces of what is made."""

    def sending(self, key: str, cause: Trace) -> Trace:
        """Return the trace that an event of this key is sent in, for one that its cause carries."""
        ...

    def commanded(self, name: str, keys: Sequence[str]) -> Sequence[CommandTrace]:
        """Return the traces of the commands of this name that the request under way hands in, one for each key."""
        ...
