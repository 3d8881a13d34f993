"""Users that somebody else takes away at a Kafka, again and again: two who keep one Kafka's users undo each other.

Strimzi's user operator deletes every two minutes what it has no KafkaUser of. Made anew each time, a flow would look
sound and stand still in between. One loss is a person's mistake, which is mended and not told.
"""

from collections import Counter
from collections.abc import Callable, Collection

from orderflow_operator.kubernetes.cache import FlowKey

LATELY_SECONDS = 600.0


class Losses:
    """Remembers which users were seen, and since when each has been missed; `now` in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._seen: dict[FlowKey, frozenset[str]] = {}
        self._lost: dict[FlowKey, list[tuple[float, str]]] = {}

    def note(self, key: FlowKey, wanted: Collection[str], there: frozenset[str]) -> list[str]:
        """Take down who is there of those wanted; return who was lost more than once lately."""
        now = self._now()
        gone = (self._seen.get(key, frozenset()) & set(wanted)) - there
        lately = [one for one in self._lost.get(key, []) if now - one[0] < LATELY_SECONDS]
        self._seen[key], self._lost[key] = there, [*lately, *((now, user) for user in gone)]
        times = Counter(user for _, user in self._lost[key])
        return sorted(user for user, lost in times.items() if lost > 1)

    def forget(self, key: FlowKey) -> None:
        """Let go of a flow that is no more."""
        self._seen.pop(key, None)
        self._lost.pop(key, None)
