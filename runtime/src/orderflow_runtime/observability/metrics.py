"""The runtime's Prometheus metrics; docs/metrics.md lists them. The worker counts whole batches, so that a count costs
next to nothing per event. Who emits them (flow, service, pod) is said by the scrape, not by labels; `metrics_page.py`
adds the service where several share a process.
"""

from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from orderflow_contracts.event import Event
from orderflow_model.service_config import ObjectiveConfig
from orderflow_runtime.core.event_log import Partition
from orderflow_runtime.core.work_item import WorkItem
from orderflow_runtime.dispatch.dispatcher import Committed
from orderflow_runtime.observability.batch_histogram import BatchHistogram
from orderflow_runtime.observability.measure_faults import MeasureFaults
from orderflow_runtime.service import Received

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_AGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_RUNS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
_SIZES = (1, 2, 5, 10, 25, 50, 100, 250, 500)
_MOST_ENDED = 100_000
"""Runs whose end is remembered while Postgres cannot tell when they began; beyond that they are not measured."""

M = TypeVar("M", Counter, Gauge)


class EndedRun(NamedTuple):
    """A run that ended: the event's type, its key, and when its batch was committed."""

    end: str
    key: str
    at: datetime
    trace: bytes | None = None


class Metrics:
    """The metrics of one service, in a registry of their own; `now` gives UTC.

    `ends` are the events whose runs are measured, against these objectives.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        ends: Iterable[str] = (),
        objectives: Sequence[ObjectiveConfig] = (),
    ) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._now = now
        self._ends = frozenset(ends)
        self._ended: list[EndedRun] = []
        self.measure_faults = MeasureFaults(self.registry)
        self._count_events()
        self._time_work()
        self._time_runs(objectives)
        self._watch()

    def count(self, committed: Committed, items: int, seconds: float) -> None:
        """Count one batch that was just committed."""
        traces = {item.key: item.inbox.trace for item in committed.handled if item.inbox and item.inbox.trace}
        trace = next(iter(traces.values()), None)
        exemplar = {"trace_id": trace.hex()} if trace else None
        self.batch_size.observe(items, exemplar)
        self.batch_seconds.observe(seconds, exemplar)
        _add(self.processed, Tally(item.type for item in committed.handled))
        _add(self.parked, Tally(park.item.type for park in committed.parked))
        _add(self.dead, Tally(letter.type for letter in committed.dead))
        _add(self.dropped, Tally(item.type for item in committed.dropped))
        _add(self.retried, Tally(_retried(committed)))
        self._count_ages(committed.handled, traces)
        self.publish(committed.published, traces)

    def publish(self, events: Sequence[Event], traces: Mapping[str, bytes] = MappingProxyType({})) -> None:
        """Count events that were just committed to the outbox; `traces` gives recorded traces by key."""
        _add(self.published, Tally(event.TYPE for event in events))
        if self._ends and len(self._ended) < _MOST_ENDED:
            now = self._now()
            self._ended += [EndedRun(e.TYPE, e.key, now, traces.get(e.key)) for e in events if e.TYPE in self._ends]

    def ignore(self, kinds: Iterable[str]) -> None:
        """Count metadata that was left aside."""
        _add(self.ignored, Tally(kinds))

    def take_ended(self) -> list[EndedRun]:
        """Return the runs that ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def put_back(self, ended: Sequence[EndedRun]) -> None:
        """Undo `take_ended`: it is not known yet when these runs began."""
        self._ended = [*ended, *self._ended]

    def hold(self, leases: int, *, taken: int = 0, lost: int = 0) -> None:
        """Tell how many leases are held now, and what changed."""
        self.leases.set(leases)
        self.lease_changes.labels("taken").inc(taken)
        self.lease_changes.labels("lost").inc(lost)

    def called(self, kind: str, known: bool, seconds: float) -> None:
        """Count a question to the outside."""
        self.calls.labels(kind, "known" if known else "unknown").inc()
        self.call_seconds.labels(kind).observe(seconds)

    def refresh(
        self,
        lag: Mapping[Partition, int],
        refused: Mapping[str, int] = MappingProxyType({}),
        unread: Collection[str] = (),
    ) -> None:
        """Set what is looked up when somebody asks, before the registry is read."""
        self.unread.clear()
        for topic in unread:
            self.unread.labels(topic).set(1)
        self.refused.clear()
        for topic, messages in refused.items():
            self.refused.labels(topic).set(messages)
        self.lag.clear()
        for partition, records in lag.items():
            self.lag.labels(partition.topic, str(partition.number)).set(records)

    def _count_events(self) -> None:
        self.processed = self._by_event("processed", "Events whose handler's effects are committed")
        self.published = self._by_event("published", "Events committed to the outbox")
        self.parked = self._by_event("parked", "Times an event was put aside for a later attempt")
        self.retried = self._by_event("retried", "Attempts of an event after its first")
        self.dead = self._by_event("dead", "Events that went to the dead-letter topic")
        self.dropped = self._by_event("dropped", "Events that the service's recipient asked to drop")
        self.ignored = self._make(
            Counter, "metadata_ignored", "Odd metadata of records and requests that were handled without it", "kind"
        )

    def _by_event(self, name: str, help_text: str) -> Counter:
        return self._make(Counter, f"events_{name}", help_text, "event")

    def _make(self, kind: type[M], name: str, help_text: str, *labels: str) -> M:
        return kind(f"orderflow_{name}", help_text, labels, registry=self.registry)

    def _time_work(self) -> None:
        registry = self.registry
        self.ages = BatchHistogram(
            "orderflow_event_age_seconds", "From an event's own time to its effects committed", "event", _AGES, registry
        )
        self.batch_size = Histogram(
            "orderflow_batch_size", "Items in one transaction", buckets=_SIZES, registry=registry
        )
        self.batch_seconds = Histogram(
            "orderflow_batch_seconds", "Time of one batch's transaction", buckets=_SECONDS, registry=registry
        )
        self.call_seconds = Histogram(
            "orderflow_call_seconds", "Time of one call to the outside", ["kind"], buckets=_SECONDS, registry=registry
        )

    def _time_runs(self, objectives: Sequence[ObjectiveConfig]) -> None:
        bounds = sorted({*_RUNS, *(objective.within_ms / 1000 for objective in objectives)})
        self.runs = BatchHistogram(
            "orderflow_saga_seconds", "From the beginning of a run to its end", "end", bounds, self.registry
        )
        self.objective_runs = self._make(
            Counter, "objective_runs", "Runs that ended within an objective's time, or not", "objective", "met"
        )
        for objective in objectives:
            for met in ("true", "false"):
                self.objective_runs.labels(objective.name, met)

    def _watch(self) -> None:
        make = self._make
        self.lag = make(Gauge, "consumer_lag", "Records of an owned partition not handled yet", "topic", "partition")
        self.refused = make(Gauge, "refused_messages", "Messages that wait because Kafka refuses their topic", "topic")
        self.unread = make(
            Gauge, "unread_topic", "1 for a topic that the service subscribes to and cannot read", "topic"
        )
        self.leases = make(Gauge, "leases", "Partitions that this instance owns")
        self.lease_changes = make(Counter, "lease_changes", "Partitions taken and lost by this instance", "change")
        self.recoveries = make(Counter, "recoveries", "Times all leases were taken anew, by reason", "reason")
        self.calls_waiting = make(Gauge, "calls_waiting", "Calls whose outcome is not known yet")
        self.calls = make(
            Counter, "calls", "Calls to the outside, by what is known of their outcome", "kind", "outcome"
        )
        for change in ("taken", "lost"):
            self.lease_changes.labels(change)

    def _count_ages(self, handled: Iterable[WorkItem], traces: Mapping[str, bytes]) -> None:
        """Time events from their own time, by the clocks of two hosts: a measurement, no decision."""
        now = self._now()
        groups: defaultdict[str, list[WorkItem]] = defaultdict(list)
        for item in handled:
            if type(item.payload) is Received:
                groups[item.type].append(item)
        for event, items in groups.items():
            ages = [(now - item.payload.time).total_seconds() for item in items]
            slowest = max(ages)
            trace = traces.get(items[ages.index(slowest)].key)
            self.ages.observe(event, ages, (slowest, trace) if trace else None)


def _retried(committed: Committed) -> Iterable[str]:
    yield from (item.type for item in committed.handled if item.attempts)
    yield from (park.item.type for park in committed.parked if park.attempts > 1)
    yield from (letter.type for letter in committed.dead if letter.attempts > 1)


def _add(counter: Counter, tally: Tally[str]) -> None:
    for event, count in tally.items():
        counter.labels(event).inc(count)
