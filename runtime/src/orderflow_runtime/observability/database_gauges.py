"""Gauges that only the database knows: the bookkeeping's, and those that a service declares. `process.py` takes them
in its housekeeping. Every instance measures the whole service: dashboards take the greatest of what its pods say.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from orderflow_runtime.core.retryable import Retryable
from orderflow_runtime.core.store import Store
from orderflow_runtime.service import Measure

logger = logging.getLogger(__name__)

_SHARE = 0.01
"""The part of one connection's time that a measure may take: a query of one second is asked every 100 seconds."""

BOOKKEEPING = (
    Measure(
        "orderflow_outbox_rows",
        "Batches committed and not yet known to be published",
        "SELECT count(*) AS value FROM outbox",
    ),
    Measure(
        "orderflow_outbox_oldest_seconds",
        "Age of the oldest batch not yet known to be published",
        "SELECT coalesce(extract(epoch FROM clock_timestamp()"
        " - (SELECT created_at FROM outbox ORDER BY id LIMIT 1)), 0) AS value",
    ),
    Measure("orderflow_parked", "Events that wait for an attempt now", "SELECT count(*) AS value FROM parked"),
    Measure(
        "orderflow_parked_oldest_seconds",
        "Time since the event that waits longest was put aside",
        "SELECT coalesce(extract(epoch FROM clock_timestamp()"
        " - (SELECT parked_at FROM parked ORDER BY id LIMIT 1)), 0) AS value",
    ),
)


class DatabaseGauges(Collector):
    """The gauges of one process and their queries; `seconds` is a clock of passing time."""

    def __init__(
        self,
        measures: Iterable[Measure],
        store: Store,
        registry: CollectorRegistry,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._seconds = seconds
        self._due = dict.fromkeys([*BOOKKEEPING, *measures], 0.0)
        self._samples: dict[Measure, list[tuple[dict[str, str], float]]] = {}
        registry.register(self)

    async def take(self) -> None:
        """Ask what is due; raise `Retryable` with the rest not asked."""
        for measure, due in self._due.items():
            if self._seconds() >= due:
                await self._take(measure)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield what was measured; what could not be has no value."""
        for measure, samples in self._samples.items():
            family = GaugeMetricFamily(measure.name, measure.help, labels=list(samples[0][0]) if samples else ())
            for labels, value in samples:
                family.add_metric(list(labels.values()), value)
            yield family

    async def _take(self, measure: Measure) -> None:
        started = self._seconds()
        self._samples.pop(measure, None)
        try:
            self._samples[measure] = _samples(await self._store.read(measure.query))
        except Retryable:
            raise
        except Exception as error:
            logger.error("%s cannot be measured: %s: %s", measure.name, type(error).__name__, error)
        finally:
            self._due[measure] = self._seconds() + (self._seconds() - started) / _SHARE


def _samples(rows: Sequence[Mapping[str, Any]]) -> list[tuple[dict[str, str], float]]:
    """Return labels and value of each row; a value that is NULL is none. Raises what a query of another shape makes."""
    found = [row for row in rows if row["value"] is not None]
    return [
        ({name: str(label) for name, label in row.items() if name != "value"}, float(row["value"])) for row in found
    ]
