"""How long the loops of one process wait before they try again what failed; a failed event's own waits: `retry.py`.

A wait is twice the one before it, up to a longest, and after a success the first again.
"""


class Backoff:
    """The waits of one loop, in seconds."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def reset(self) -> None:
        """Begin anew with the first wait: it went well."""
        self._next = self._first

    def next_wait(self) -> float:
        """Return how long to wait now."""
        wait = self._next
        self._next = min(wait * 2, self._longest)
        return wait
