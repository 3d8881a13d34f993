"""Pages of long lists, by keyset: the next page begins behind the last item, however many were added meanwhile."""

import base64
import binascii
import datetime as dt
from dataclasses import dataclass
from typing import Generic, TypeVar

from orderflow_console.queries.errors import InvalidQuestionError

MOST = 1_000
"""The longest page."""
LAST = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)
FIRST = dt.datetime(1, 1, 1, tzinfo=dt.UTC)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items of a list; `next` is None at its end.

    `looked_back_to` is set where not all was looked through: what is older is not known, and `next` goes on from there.
    """

    items: tuple[T, ...]
    next: str | None = None
    looked_back_to: dt.datetime | None = None


def write_cursor(at: dt.datetime, name: str) -> str:
    """Return a place in a list that is ordered by time and name."""
    return base64.urlsafe_b64encode(f"{at.isoformat()} {name}".encode()).decode().rstrip("=")


def read_cursor(text: str | None, start: dt.datetime = LAST) -> tuple[dt.datetime, str]:
    """Return time and name of a place, the list's start for None; raise `InvalidQuestionError` for another text."""
    if text is None:
        return start, ""
    try:
        at, _, name = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(" ")
        time = dt.datetime.fromisoformat(at)
    except (binascii.Error, ValueError):
        raise InvalidQuestionError(
            f"{text[:100]!r} is no place in this list", "Give what the page before called next"
        ) from None
    return (time if time.tzinfo else time.replace(tzinfo=dt.UTC)), name


def checked_limit(limit: int) -> int:
    """Return the length of a page; raise `InvalidQuestionError` when there is none so long."""
    if not 1 <= limit <= MOST:
        raise InvalidQuestionError(f"a page has 1 to {MOST} items, not {limit}", "Ask for fewer, and go on with next")
    return limit
