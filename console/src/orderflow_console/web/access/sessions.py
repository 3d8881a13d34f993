"""Sessions of people who have logged in: in memory, for a while, and over at once when they log out.

A restart of the console ends all of them: nothing that lets somebody in is stored anywhere.
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from orderflow_console.web.access.people import Person, Session

LASTING_SECONDS = 8 * 3_600
IDLE_SECONDS = 3_600
_MOST = 10_000
_KEY_BYTES = 32


@dataclass
class _Kept:
    session: Session
    begun: float
    used: float


class Sessions:
    """All sessions, by the hash of what a browser's cookie says; `now` is a monotonic clock in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._kept: dict[str, _Kept] = {}

    def begin(self, person: Person) -> str:
        """Begin a session; return what its cookie says."""
        self._clear()
        key, now = secrets.token_urlsafe(_KEY_BYTES), self._now()
        self._kept[_hash(key)] = _Kept(Session(person), now, now)
        return key

    def find(self, key: str) -> Session | None:
        """Return the session of a cookie while it lasts, and so keep it from being idle."""
        kept = self._kept.get(_hash(key))
        if kept is None or not self._lasts(kept):
            return None
        kept.used = self._now()
        return kept.session

    def end(self, key: str) -> None:
        """End a session."""
        self._kept.pop(_hash(key), None)

    def _lasts(self, kept: _Kept) -> bool:
        now = self._now()
        return now - kept.begun < LASTING_SECONDS and now - kept.used < IDLE_SECONDS

    def _clear(self) -> None:
        """Forget what is over, and the oldest where there are too many."""
        self._kept = {key: kept for key, kept in self._kept.items() if self._lasts(kept)}
        for key in list(self._kept)[: max(0, len(self._kept) - _MOST + 1)]:
            del self._kept[key]


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()
