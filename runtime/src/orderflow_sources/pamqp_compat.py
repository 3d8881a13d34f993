"""All that touches the inside of pamqp, by which aio-pika reads and writes frames, and so depends on its version.

A publisher may write a time in nanoseconds, or names that are no UTF-8, and the broker hands it on. pamqp gives up the
connection over that; the message comes again with the next, so that one message would end every connection for ever.
`install` puts readers in the place of pamqp's own that take whatever a broker hands on.
"""

from struct import Struct
from typing import Any

import pamqp
from pamqp import decode
from pamqp.commands import Basic

from orderflow_runtime import MisconfiguredError

KNOWN = "4."
"""The versions whose inside is known; pyproject.toml asks for the same."""
UNREADABLE = "orderflow-unreadable"
"""Header in the place of a table of headers of which something cannot be read."""
_LENGTH = Struct(">I")
_TIME_BYTES = 8
_readers = {name: decode.METHODS[name] for name in ("timestamp", "table")}


def install() -> None:
    """Give every AMQP client of this process the readers below; raise `MisconfiguredError` when they may not fit."""
    if not pamqp.__version__.startswith(KNOWN):
        raise MisconfiguredError(
            f"pamqp {pamqp.__version__} is installed, and this version of OrderFlow works with {KNOWN}x alone: "
            "install what its requirements.lock names"
        )
    decode.METHODS.update(shortstr=_read_text, timestamp=_read_time, table=_read_table)
    decode.TABLE_MAPPING.update({b"T": _read_time, b"F": _read_table})


def is_writable(properties: Basic.Properties) -> bool:
    """Return whether pamqp can write them; asked before, for a publishing that fails half way spoils its channel."""
    try:
        properties.marshal()
    except (ValueError, TypeError, OverflowError):
        return False
    return True


def _read_text(value: bytes) -> tuple[int, str]:
    """Read a short string; bytes that are no text are written out, as `\\xff`."""
    length = value[0]
    return length + 1, value[1 : length + 1].decode(errors="backslashreplace")


def _read_time(value: bytes) -> tuple[int, Any]:
    """Read a time in seconds or milliseconds; what is neither is none."""
    try:
        return _readers["timestamp"](value)
    except (ValueError, OverflowError, OSError):
        return _TIME_BYTES, None


def _read_table(value: bytes) -> tuple[int, Any]:
    """Read a table; of one with an odd name or type only that it was there."""
    try:
        return _readers["table"](value)
    except Exception:  # whatever the reader of a type trips over
        return _LENGTH.unpack(value[: _LENGTH.size])[0] + _LENGTH.size, {UNREADABLE: True}
