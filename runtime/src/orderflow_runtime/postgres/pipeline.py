"""Sends several statements of a transaction in one round trip, which Postgres takes and asyncpg does not offer.

A small batch costs what its round trips cost: each wakes a process of Postgres and this one. BEGIN goes out with the
first statement, statements without rows with the next that has some, COMMIT with the last. Between asyncpg and its
transport stands a protocol that holds such messages back, sends them ahead of the next statement in the same write,
and leaves their answers out of what asyncpg reads. There is one Sync for all of them, so that Postgres skips what
stands behind a statement that fails: nothing runs outside of its transaction, and no COMMIT behind an error.
Source: PostgreSQL, "Frontend/Backend Protocol", "Extended Query" and "Pipelining".

It depends on the inside of asyncpg, of which nothing else in the runtime does so: that a statement which is prepared
is one write of Bind, Execute and Sync. `install` refuses a version that is not known.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg

from orderflow_runtime.settings import MisconfiguredError

KNOWN = "0.32."
"""The versions whose inside is known; pyproject.toml asks for the same."""
_MOST_HELD_BYTES = 256 * 1024
"""With so much held back a statement is sent at once, with all that waits."""
_ASYNCHRONOUS = b"NSA"
"""Notices, settings and notifications, which come between any two messages."""


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body


def _statement(text: bytes) -> bytes:
    """Return Parse, Bind and Execute of a statement without arguments."""
    parse = _message(b"P", b"\0" + text + b"\0\0\0")
    return parse + _message(b"B", bytes(8)) + _message(b"E", bytes(5))


_SYNC = _message(b"S", b"")
_BEGIN, _COMMIT = _statement(b"BEGIN"), _statement(b"COMMIT")
_DONE = _message(b"2", b"") + _message(b"C", b"UPDATE 0\0") + _message(b"Z", b"T")
"""What asyncpg is answered for a statement that is held back: bound, done, in a transaction."""


class Pipeline(asyncpg.protocol.Protocol):  # type: ignore[misc]  # asyncpg has no types
    """asyncpg's protocol, with messages held back before it and answers taken out behind it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._held = b""
        self._held_statements = 0
        self._deferring = False
        self._committing = False
        self._owed: deque[bool] = deque()
        """of each statement whose answer is to be told apart: whether asyncpg is to read it"""
        self._rest = b""
        """the beginning of a message"""

    def connection_made(self, transport: Any) -> None:
        """Have asyncpg write by way of this."""
        super().connection_made(_Transport(transport, self))

    def begin(self) -> None:
        """Send BEGIN ahead of the next statement."""
        self._held, self._held_statements = _BEGIN, 1

    def discard(self) -> None:
        """Forget what is held back: its transaction is rolled back."""
        self._held, self._held_statements = b"", 0

    @property
    def holds(self) -> bool:
        """Return whether something is to be sent ahead of the next statement."""
        return bool(self._held)

    @contextmanager
    def deferring(self) -> Iterator[None]:
        """Hold the block's statement back; what is wrong with it, the next one that is sent is answered.

        One that was never prepared on this connection is sent at once.
        """
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Send COMMIT with the block's one statement, whose types are all built in: no query for them comes before."""
        self._committing = True
        try:
            yield
        finally:
            self._committing = False

    def outgoing(self, data: bytes) -> bytes:
        """Return what to send in place of what asyncpg writes, by its first message."""
        if data.startswith(b"P"):
            self._deferring = False
        if data.startswith(b"B") and data.endswith(_SYNC):
            if self._deferring and len(self._held) + len(data) < _MOST_HELD_BYTES:
                self._held += data.removesuffix(_SYNC)
                self._held_statements += 1
                asyncio.get_running_loop().call_soon(self._answer)
                return b""
            if self._committing:
                self._owed += [False] * self._held_statements + [True, False]
                return self._released() + data.removesuffix(_SYNC) + _COMMIT + _SYNC
        self._owed += [False] * self._held_statements
        return self._released() + data

    def data_received(self, data: bytes) -> None:
        """Let asyncpg read what it has asked for."""
        if not self._owed:
            super().data_received(data)
            return
        data, at, read = self._rest + data, 0, []
        while self._owed and len(data) - at >= 5:
            end = at + 1 + int.from_bytes(data[at + 1 : at + 5], "big")
            if end > len(data):
                break
            if self._is_asked_for(data[at : at + 1]):
                read.append(data[at:end])
            at = end
        if self._owed:
            self._rest = data[at:]
        else:
            self._rest = b""
            read.append(data[at:])
        if answer := b"".join(read):
            super().data_received(answer)

    def _released(self) -> bytes:
        held = self._held
        self.discard()
        return held

    def _answer(self) -> None:
        if self.is_connected():
            super().data_received(_DONE)

    def _is_asked_for(self, kind: bytes) -> bool:
        """Take note of a message of this kind; tell whether asyncpg is to read it."""
        if kind in _ASYNCHRONOUS:
            return True
        if kind == b"E":  # the rest is skipped up to the Sync
            self._owed.clear()
            return True
        asked_for = self._owed[0]
        if kind in b"CI":  # done, or there was nothing to do
            self._owed.popleft()
        return asked_for


class _Transport:
    """asyncpg's way to the socket."""

    def __init__(self, transport: Any, pipeline: Pipeline) -> None:
        self._transport = transport
        self._pipeline = pipeline

    def write(self, data: bytes) -> None:
        """Send what is to be sent now."""
        if sent := self._pipeline.outgoing(bytes(data)):
            self._transport.write(sent)

    def writelines(self, buffers: Iterable[bytes]) -> None:
        """Send all of them."""
        self.write(b"".join(buffers))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def install() -> None:
    """Give every asyncpg connection of this process a pipeline; raise `MisconfiguredError` when it may not fit."""
    if not asyncpg.__version__.startswith(KNOWN):
        raise MisconfiguredError(
            f"asyncpg {asyncpg.__version__} is installed, and this version of OrderFlow works with {KNOWN}x alone: "
            "install what its requirements.lock names"
        )
    asyncpg.protocol.Protocol = Pipeline


def pipeline_of(connection: asyncpg.Connection) -> Pipeline:
    """Return a connection's pipeline; it was made after `install`, and is not closed."""
    pipeline: Pipeline = connection._protocol
    return pipeline
