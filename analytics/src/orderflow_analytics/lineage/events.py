"""OpenLineage's events of a step: one that it began, one that it ended well or failed.

Source: OpenLineage, "Object Model" and its facets `schema`, `columnLineage` and `errorMessage`.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import column_lineage_dataset, error_message_run, schema_dataset
from openlineage.client.serde import Serde
from openlineage.client.transport.http import HttpConfig, HttpTransport
from openlineage.client.uuid import generate_new_uuid

from orderflow_analytics.lineage.datasets import Dataset
from orderflow_analytics.lineage.steps import Origin, Output, Told

PRODUCER = "https://github.com/orderflow/orderflow"
_SECONDS, _MOST_SECONDS = 5.0, 30.0
"""How long one event may take, and how long a run waits for all of its."""
_MOST_WORDS = 2_000


def events_of(flow: str, told: Told) -> list[RunEvent]:
    """Return the two events of a step that ended."""
    run, job = str(generate_new_uuid(told.began)), Job(namespace=f"orderflow/{flow}", name=told.step.job)
    inputs = [InputDataset(one.namespace, one.name, facets={"schema": _schema(one)}) for one in told.step.inputs]
    failed = {}
    if told.failure:
        words = error_message_run.ErrorMessageRunFacet(told.failure[:_MOST_WORDS], programmingLanguage="PYTHON")
        failed = {"errorMessage": words}
    ended = RunState.FAIL if told.failure else RunState.COMPLETE
    outputs = [] if told.failure else [_output(one) for one in told.step.outputs]

    def event(state: RunState, at: datetime, run: Run, outputs: Sequence[OutputDataset]) -> RunEvent:
        return RunEvent(
            eventTime=at.isoformat(),
            producer=PRODUCER,
            run=run,
            job=job,
            eventType=state,
            inputs=inputs,
            outputs=list(outputs),
        )

    return [
        event(RunState.START, told.began, Run(run), ()),
        event(ended, told.ended, Run(run, facets=failed), outputs),
    ]


def lines(events: Iterable[RunEvent]) -> list[str]:
    """Return each event as JSON on a line."""
    return [Serde.to_json(event) for event in events]


def send(url: str, events: Iterable[RunEvent], clock: Callable[[], float] = time.monotonic) -> None:
    """Send events to an endpoint, in order; raise what it has to say of the first that it does not take."""
    end = clock() + _MOST_SECONDS
    transport = HttpTransport(HttpConfig.from_dict({"url": url, "timeout": _SECONDS, "retry": {"total": 0}}))
    for event in events:
        if clock() > end:
            raise TimeoutError(f"the endpoint took {_MOST_SECONDS:.0f} s for some events; the others were not sent")
        transport.emit(event)


def _output(output: Output) -> OutputDataset:
    origins = {name: _fields(found) for name, found in output.origins.items() if found}
    facets = {"schema": _schema(output.dataset)}
    if origins:
        facets["columnLineage"] = column_lineage_dataset.ColumnLineageDatasetFacet(fields=origins)
    return OutputDataset(output.dataset.namespace, output.dataset.name, facets=facets)


def _fields(origins: Iterable[Origin]) -> column_lineage_dataset.Fields:
    found = [column_lineage_dataset.InputField(one.namespace, one.name, column) for one, column in origins]
    return column_lineage_dataset.Fields(inputFields=found)


def _schema(dataset: Dataset) -> schema_dataset.SchemaDatasetFacet:
    fields = [schema_dataset.SchemaDatasetFacetFields(name, kind or None) for name, kind in dataset.columns.items()]
    return schema_dataset.SchemaDatasetFacet(fields=fields)
