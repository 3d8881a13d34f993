"""Turns what services have counted so far into what moves on each arrow of the flow."""

from collections.abc import Mapping
from dataclasses import dataclass

from orderflow_console.metrics.scrape import Counts
from orderflow_model.flow import OrderFlow


@dataclass(frozen=True)
class Arrow:
    """An event on its way from who publishes it to who handles it; `rate` in events a second."""

    publishers: str
    event: str
    subscriber: str
    total: int
    rate: float


class Rates:
    """Turns two readings of growing counters into rates; a counter that fell was started anew."""

    def __init__(self, flow: OrderFlow) -> None:
        self._flow = flow
        self._before: dict[tuple[str, str], float] = {}
        self._at: float | None = None

    def arrows(self, counts: Mapping[str, Counts], now: float) -> list[Arrow]:
        """Return all arrows of the flow at the monotonic time `now`, in seconds."""
        elapsed = now - self._at if self._at is not None else 0
        arrows = [
            self._arrow(event.name, service.name, counts, elapsed)
            for event in self._flow.spec.events
            for service in self._flow.services
            if event.name in service.subscribes
        ]
        self._at = now
        return arrows

    def _arrow(self, event: str, subscriber: str, counts: Mapping[str, Counts], elapsed: float) -> Arrow:
        key = (event, subscriber)
        before = self._before.get(key, 0)
        total = counts[subscriber].processed.get(event, 0) if subscriber in counts else before
        grown = total - before if total >= before else total
        self._before[key] = total
        publishers = [service.name for service in self._flow.services if event in service.publishes]
        return Arrow(" ".join(publishers), event, subscriber, int(total), grown / elapsed if elapsed else 0)
