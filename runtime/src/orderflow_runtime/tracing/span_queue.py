"""Spans on their way out: taken from the event loop at next to no cost, sent by a thread of their own.

`tracer.py` adds them, `process.py` starts and ends the thread. Nothing here ever waits for a collector: where it is
away, what does not fit the queue is dropped and counted, and business goes on.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from orderflow_runtime.backoff import Backoff
from orderflow_runtime.tracing.trace_context import Trace

logger = logging.getLogger(__name__)

MOST_WAITING = 16_384
_AT_ONCE = 512
_EVERY_SECONDS = 0.5
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 1.0, 30.0


class Kind(IntEnum):
    """Kinds of spans, by OTLP's numbers."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


Attributes = tuple[tuple[str, str | int], ...]


@dataclass(frozen=True, eq=False)
class SpanTemplate:
    """What all spans of one sort have in common; made once, compared by identity."""

    name: str
    kind: Kind
    attributes: Attributes = ()


class Span(NamedTuple):
    """A span that ended; times in nanoseconds since 1970. `error` is its type where it failed."""

    template: SpanTemplate
    trace: Trace
    began: int
    ended: int
    attributes: Attributes = ()
    links: Sequence[Trace] = ()
    error: str | None = None


class RefusedError(Exception):
    """The collector will never take these spans: sending them again is in vain."""


class AwayError(Exception):
    """The collector does not answer, or not now."""


Encode = Callable[[Sequence[Span], Callable[[], None]], bytes]
"""Makes one request of spans; calls its second argument now and then, to let others have the processor."""
Send = Callable[[bytes], None]
"""Sends one request; raises `AwayError` or `RefusedError`."""


class SpanQueue:
    """A bounded queue and the thread that empties it."""

    def __init__(self, encode: Encode, send: Send) -> None:
        self._encode = encode
        self._send = send
        self._waiting: deque[Span] = deque()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self.dropped = 0

    @property
    def full(self) -> bool:
        """Whether one more would be dropped."""
        return len(self._waiting) >= MOST_WAITING

    def start(self) -> None:
        """Begin to send; the thread logs as whoever starts it."""
        self._thread = threading.Thread(target=copy_context().run, args=(self._run,), name="spans", daemon=True)
        self._thread.start()

    def add(self, span: Span) -> None:
        """Hand in a span; it is dropped when too many wait."""
        if self.full:
            self.dropped += 1
        else:
            self._waiting.append(span)

    def close(self, seconds: float) -> None:
        """Send what waits, for so many seconds at most."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        while not self._closing.wait(_EVERY_SECONDS):
            self._drain()
        self._drain()

    def _drain(self) -> None:
        while self._waiting:
            spans = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
            try:
                self._until_taken(self._encode(spans, _let_others), len(spans))
            except Exception:
                self.dropped += len(spans)
                logger.exception("%d spans are lost", len(spans))

    def _until_taken(self, request: bytes, count: int) -> None:
        """Send one request until it is taken; once closing, try no more than once."""
        backoff = Backoff(_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS)
        while True:
            try:
                return self._send(request)
            except RefusedError as error:
                self.dropped += count
                return logger.warning("the collector refuses %d spans: %s", count, error)
            except AwayError as error:
                wait = backoff.next_wait()
                logger.info("the collector of traces is away, trying again in %.0f s: %s", wait, error)
            if self._closing.wait(wait):
                self.dropped += count
                return None


def _let_others() -> None:
    """Give the interpreter to the event loop, which waits for nothing else."""
    time.sleep(0.001)
