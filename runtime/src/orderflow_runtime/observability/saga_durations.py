"""How long runs of the flow take, and whether the objectives are met; `process.py` settles it in its housekeeping.

Only the service that publishes a run's end measures it: its batches note which runs ended, and its own rows tell when
they began, a single query for all that ended since. Nothing is carried along with the events for it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from orderflow_model.service_config import ObjectiveConfig
from orderflow_runtime.core.retryable import Retryable
from orderflow_runtime.core.store import Store
from orderflow_runtime.observability.batch_histogram import Traced
from orderflow_runtime.observability.metrics import EndedRun, Metrics

_AT_ONCE = 5_000
_SECONDS = "orderflow_saga_seconds"


class SagaDurations:
    """Measures ended runs; `began` is the service's query of their beginnings."""

    def __init__(self, began: str, objectives: Iterable[ObjectiveConfig], store: Store, metrics: Metrics) -> None:
        self._began = began
        self._objectives = tuple(objectives)
        self._store = store
        self._metrics = metrics

    async def settle(self) -> None:
        """Measure what ended since the last time; raise `Retryable` with the rest kept.

        Where the service's query is wrong, how long the runs took stays unknown.
        """
        ended = self._metrics.take_ended()
        while ended:
            part = ended[:_AT_ONCE]
            try:
                rows = await self._store.read(self._began, [run.key for run in part])
                self._measure(part, {row["key"]: row["began"] for row in rows})
                self._metrics.measure_faults.clear(_SECONDS)
            except Retryable:
                self._metrics.put_back(ended)
                raise
            except Exception as error:
                self._metrics.measure_faults.note(_SECONDS, error)
            ended = ended[_AT_ONCE:]

    def _measure(self, ended: Sequence[EndedRun], began: dict[str, datetime]) -> None:
        seconds: defaultdict[str, list[float]] = defaultdict(list)
        traced: dict[str, Traced] = {}
        for run in ended:
            if run.key in began:
                took = (run.at - began[run.key]).total_seconds()
                seconds[run.end].append(took)
                if run.trace:
                    traced[run.end] = max(traced.get(run.end, (0.0, b"")), (took, run.trace))
        for end, values in seconds.items():
            self._metrics.runs.observe(end, values, traced.get(end))
            self._judge(values)

    def _judge(self, seconds: Sequence[float]) -> None:
        for objective in self._objectives:
            met = sum(took <= objective.within_ms / 1000 for took in seconds)
            self._metrics.objective_runs.labels(objective.name, "true").inc(met)
            self._metrics.objective_runs.labels(objective.name, "false").inc(len(seconds) - met)
