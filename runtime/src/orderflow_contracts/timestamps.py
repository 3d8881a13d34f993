"""The time of an event as CloudEvents write it, for `envelope.py`. Source: RFC 3339, section 5.6.

Python's own `fromisoformat` reads other forms of ISO 8601 and not all of these: fractions of any length, `t` and `z`
in lower case, and the leap second.
"""

import datetime as dt
import re
from contextlib import suppress

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ]([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(?:\.(\d+))?"
    r"(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)
_is_ours = re.compile(r"....-..-..T..:..:..\.......\+00:00").fullmatch
"""Has the form of `write_time`, which nearly all have; Python reads that at once."""
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def read_time(text: str) -> dt.datetime:
    """Return the instant in UTC, digits below a microsecond cut off; raise `ValueError` when it is none.

    A leap second is the second after it, as it is to POSIX and to Postgres.
    """
    if _is_ours(text):
        with suppress(ValueError):  # as of a leap second
            return dt.datetime.fromisoformat(text)
    if (found := _TIME.fullmatch(text)) is None:
        raise ValueError("not an RFC 3339 time with its offset from UTC")
    year, month, day, hour, minute, second = map(int, found.group(1, 2, 3, 4, 5, 6))
    fraction, sign, hours, minutes = found.group(7, 8, 9, 10)
    local = dt.datetime(year, month, day, hour, minute, min(second, 59), int(f"{fraction or ''}000000"[:6]), dt.UTC)
    offset = dt.timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        return local + dt.timedelta(seconds=second // 60) + (offset if sign == "-" else -offset)
    except OverflowError:
        raise ValueError("outside of the years 1 to 9999") from None


def write_time(time: dt.datetime) -> str:
    """Return an instant in the one form that we write: in UTC, with six digits of fraction."""
    return time.astimezone(dt.UTC).isoformat(timespec="microseconds")


def time_of_record(milliseconds: int) -> dt.datetime | None:
    """Return the instant of a record's timestamp; None where it has none, or one beyond all years."""
    try:
        return None if milliseconds < 0 else _EPOCH + dt.timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None
