"""A clock that a test moves, in the places of the host's and of the database's."""

import itertools
import time
from datetime import UTC, datetime, timedelta

from orderflow_runtime.dispatch.effects import Clock


class FakeClock(Clock):
    """Ids in order, and a time that stands still until it is moved.

    The database's clock, `seconds`, goes on by itself besides: what waits for a moment, as a retry does, comes due.

    Example:
        >>> clock = FakeClock()
        >>> clock.advance(timedelta(days=1))
        >>> clock.now()
        datetime.datetime(2026, 1, 2, 0, 0, tzinfo=datetime.timezone.utc)
        >>> clock.new_id("o1"), clock.new_id("o1")
        ('id-1', 'id-2')
    """

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 1, tzinfo=UTC)
        self._ahead = timedelta()
        self._numbers = itertools.count(1)

    def now(self) -> datetime:
        """Return the time in UTC: 2026 begins, and what it was moved by."""
        return self._now + self._ahead

    def seconds(self) -> float:
        """Return the database's time, in seconds since some moment."""
        return time.monotonic() + self._ahead.total_seconds()

    def advance(self, by: timedelta) -> None:
        """Move both times.

        Args:
            by: How far.
        """
        self._ahead += by

    def new_id(self, key: str) -> str:
        """Return the next id.

        Args:
            key: What the event belongs to; here it does not matter.
        """
        return f"id-{next(self._numbers)}"
