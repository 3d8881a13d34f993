"""What a source counts, for Prometheus; `__main__` serves it."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector


class Measures:
    """Messages by what became of them, those in hand, and the age of the oldest of these; `settled` are all done."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        messages = Counter(
            "orderflow_source_messages",
            "Messages by outcome: accepted anew, known from before, or refused",
            ["outcome"],
            registry=self.registry,
        )
        self.accepted, self.repeated, self.refused = map(messages.labels, ("accepted", "repeated", "refused"))
        self.away = Counter(
            "orderflow_source_waits", "Times that the service did not take a message yet", registry=self.registry
        )
        self.connected = Gauge(
            "orderflow_source_connected", "Whether messages of the queue are taken: 1, or 0", registry=self.registry
        )
        self.settled = 0
        self._begun: dict[object, float] = {}
        in_hand = Gauge("orderflow_source_in_hand", "Messages neither accepted nor refused", registry=self.registry)
        in_hand.set_function(lambda: len(self._begun))
        oldest = Gauge("orderflow_source_oldest_seconds", "Age of the oldest message in hand", registry=self.registry)
        oldest.set_function(lambda: monotonic() - min(self._begun.values()) if self._begun else 0.0)

    def settle(self, outcome: Counter) -> None:
        """Count a message that was acknowledged."""
        self.settled += 1
        outcome.inc()

    @contextmanager
    def in_hand(self) -> Iterator[None]:
        """Count a message as in hand for as long as the block takes."""
        mark = object()
        self._begun[mark] = monotonic()
        try:
            yield
        finally:
            del self._begun[mark]
