"""Gauges that only the database knows: the bookkeeping's, and those that a service declares. `process.py` takes them
in its housekeeping. Every instance measures the whole service: dashboards take the greatest of what its pods say.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from orderflow_runtime.core.retryable import Retryable
from orderflow_runtime.core.store import Store
from orderflow_runtime.observability.measure_faults import MeasureFaults
from orderflow_runtime.service import Measure
from orderflow_runtime.settings import MisconfiguredError

_SHARE = 0.01
"""The part of one connection's time that a measure may take: a query of one second is asked every 100 seconds."""

_NAME, _LABEL = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*"), re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
"""Source: Prometheus, "Data model": metric names and labels; labels that begin with __ are its own."""

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
    """The gauges of one service and their queries; `seconds` is a clock of passing time.

    Raise `MisconfiguredError` for a measure that Prometheus would refuse, and with it the whole page.
    """

    def __init__(
        self,
        measures: Iterable[Measure],
        store: Store,
        registry: CollectorRegistry,
        faults: MeasureFaults,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        measures = tuple(measures)
        check_measures(measures, registry)
        self._store = store
        self._faults = faults
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
            self._faults.clear(measure.name)
        except Retryable:
            raise
        except Exception as error:
            self._faults.note(measure.name, error)
        finally:
            self._due[measure] = self._seconds() + (self._seconds() - started) / _SHARE


def check_measures(measures: Sequence[Measure], registry: CollectorRegistry) -> None:
    """Raise `MisconfiguredError` for a name that Prometheus does not take or that there is already."""
    families = [*registry.collect()]
    names = {family.name for family in families} | {one.name for family in families for one in family.samples}
    names |= {measure.name for measure in BOOKKEEPING}
    for measure in measures:
        if not _NAME.fullmatch(measure.name):
            raise MisconfiguredError(f"measure {measure.name!r}: it takes letters, digits, _ and :, and no digit first")
        if measure.name in names:
            raise MisconfiguredError(f"measure {measure.name!r}: there is a metric of this name already")
        names.add(measure.name)


def _samples(rows: Sequence[Mapping[str, Any]]) -> list[tuple[dict[str, str], float]]:
    """Return labels and value of each row; a value that is NULL is none.

    Raise `ValueError` where the query has another shape.
    """
    samples = [(_labels(row), float(row["value"])) for row in rows if "value" not in row or row["value"] is not None]
    if len({tuple(labels.values()) for labels, _ in samples}) < len(samples):
        raise ValueError("two of its rows have the same labels")
    return samples


def _labels(row: Mapping[str, Any]) -> dict[str, str]:
    if "value" not in row:
        raise ValueError("its query has no column `value`")
    labels = {name: str(label) for name, label in row.items() if name != "value"}
    if odd := [name for name in labels if not _LABEL.fullmatch(name)]:
        raise ValueError(f"its column {odd[0]!r} can be no label: name it, by AS, with letters, digits and _")
    return labels
