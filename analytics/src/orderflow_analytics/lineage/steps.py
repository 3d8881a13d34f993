"""What each step of a run reads and writes, column by column: from topics to `raw.events`, to the lake, to marts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from orderflow_analytics.contracts.contract import Contract
from orderflow_analytics.lake.stored_events import COLUMNS
from orderflow_analytics.lake.zones import EVENT, EVENT_DATE, QUARANTINE, RAW, Lake, curated_schema
from orderflow_analytics.lineage.datasets import EVENTS, Dataset, lake_table

_MADE = {"stored_date": "stored_at", "size": "data"}
"""Columns of the raw zone that are made from another one of the stored table."""

Origin = tuple[Dataset, str]
"""A column of what was read."""


@dataclass(frozen=True)
class Output:
    """What a step wrote: each of its columns with those that it was made from, none where it was made from none."""

    dataset: Dataset
    origins: Mapping[str, Sequence[Origin]]


@dataclass(frozen=True)
class Step:
    """One step: the name of its job, what it reads and what it writes."""

    job: str
    inputs: tuple[Dataset, ...]
    outputs: tuple[Output, ...]


@dataclass(frozen=True)
class Told:
    """A step that ended: when it began and ended, and why it failed where it did."""

    step: Step
    began: datetime
    ended: datetime
    failure: str = ""


def sink_step(topics: Sequence[Dataset], table: Dataset) -> Step:
    """Return what the sink does, which is no step of a run but what it begins with."""
    origins = {column: [(one, column) for one in topics] for column in EVENTS}
    return Step("sink", tuple(topics), (Output(table, origins),))


def export_step(table: Dataset, lake: Lake) -> Step:
    """Return how stored events come into the raw zone."""
    origins = {name: [(table, column)] for name, column in (COLUMNS | _MADE).items()}
    return Step("export", (table,), (Output(_raw(lake), origins),))


def curate_step(lake: Lake, contract: Contract) -> Step:
    """Return how an event comes from the raw zone into its table, or into the quarantine."""
    raw = _raw(lake)
    curated = lake_table(lake.curated_uri(contract), curated_schema(contract))
    aside = lake_table(lake.quarantine_uri, QUARANTINE)
    own = {name: [(raw, name)] for name in EVENT.names}
    typed = {name: [(raw, "data")] for name in contract.columns.names}
    refused = own | {name: [(raw, name)] for name in ("event_type", "data")} | {"reason": [(raw, "data")]}
    fitting = own | {EVENT_DATE.name: [(raw, "event_time")]} | typed
    return Step(f"curate.{contract.event}", (raw,), (Output(curated, fitting), Output(aside, refused)))


def _raw(lake: Lake) -> Dataset:
    return lake_table(lake.raw_uri, RAW)
