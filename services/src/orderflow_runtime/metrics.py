"""The runtime's Prometheus metrics. The worker counts whole batches, so that a count costs nothing per event."""

from collections import Counter as Tally

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from orderflow_runtime.dispatch import Committed

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SIZES = (1, 2, 5, 10, 25, 50, 100, 250, 500)


class Metrics:
    """The metrics of one worker, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.processed = self._counter("events_processed", "Events whose handler's effects are committed")
        self.published = self._counter("events_published", "Events committed to the outbox by handlers")
        self.parked = self._counter("events_parked", "Times an event was put aside for a later attempt")
        self.dead = self._counter("events_dead", "Events that went to the dead-letter topic")
        self.batch_size = Histogram(
            "orderflow_batch_size", "Items in one transaction", buckets=_SIZES, registry=self.registry
        )
        self.batch_seconds = Histogram(
            "orderflow_batch_seconds", "Time of one batch's transaction", buckets=_SECONDS, registry=self.registry
        )
        self.leases = Gauge("orderflow_leases", "Partitions that this instance owns", registry=self.registry)
        self.waiting = Gauge("orderflow_parked", "Events that wait for an attempt now", registry=self.registry)
        self.calls = Gauge("orderflow_calls_waiting", "Calls whose outcome is not known yet", registry=self.registry)
        self.recoveries = Counter(
            "orderflow_recoveries", "Times all leases were taken anew, by reason", ["reason"], registry=self.registry
        )

    def count(self, committed: Committed, items: int, seconds: float) -> None:
        """Count one batch."""
        self.batch_size.observe(items)
        self.batch_seconds.observe(seconds)
        _add(self.processed, Tally(item.type for item in committed.handled))
        _add(self.published, Tally(event.TYPE for event in committed.published))
        _add(self.parked, Tally(park.item.type for park in committed.parked))
        _add(self.dead, Tally(letter.type for letter in committed.dead))

    def render(self) -> bytes:
        """Give the exposition text."""
        return generate_latest(self.registry)

    def _counter(self, name: str, help_text: str) -> Counter:
        return Counter(f"orderflow_{name}", help_text, ["event"], registry=self.registry)


def _add(counter: Counter, tally: Tally[str]) -> None:
    for event, count in tally.items():
        counter.labels(event).inc(count)
