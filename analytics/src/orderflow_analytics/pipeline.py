"""One run from what the sink stored to what can be asked, step by step; each goes on where its last run ended.

`orderflow analytics run` does all steps in their order, filling the lake and publishing its marts, the graph of assets
each by itself. A step that wrote something tells where that came from.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from orderflow_analytics.contracts.contract import Contract
from orderflow_analytics.lake.curate import Curated, curate
from orderflow_analytics.lake.export import export
from orderflow_analytics.lake.rebuild import rebuild_day
from orderflow_analytics.lake.retention import retain
from orderflow_analytics.lake.stored_events import StoredEvents
from orderflow_analytics.lake.zones import Lake
from orderflow_analytics.lineage.datasets import Dataset
from orderflow_analytics.lineage.steps import Step, curate_step, export_step, sink_step
from orderflow_analytics.lineage.telling import Lineage
from orderflow_analytics.marts.inputs import inputs_of, marts_of, old_marts, unmade_marts
from orderflow_model.service_config import LakeConfig

if TYPE_CHECKING:
    from orderflow_analytics.marts.build import Built


_SHORTLY = timedelta(minutes=1)
"""For how long transactions may be open and nobody says so."""


@dataclass
class Report:
    """What a run did: how many events came into the raw zone, how many it could not reach though they were stored
    before it began, by event what became of them in the curated one, and whether marts are older than that now."""

    exported: int = 0
    held_up: int = 0
    curated: Mapping[str, Curated] = field(default_factory=dict)
    has_old_marts: bool = False


@dataclass(frozen=True)
class Pipeline:
    """The steps of a flow's lake. `table` and `topics` are what lineage calls the sink's table and what it hears;
    `told` says for how long what is kept.
    """

    lake: Lake
    contracts: Sequence[Contract]
    project: Path | None
    lineage: Lineage
    table: Dataset
    told: LakeConfig
    topics: Sequence[Dataset] = ()

    async def export(self, stored: StoredEvents) -> int:
        """Add to the raw zone what was stored since; return how many events."""
        with self._step(export_step(self.table, self.lake)) as step:
            raw = self.lake.raw()
            exported = await export(stored, raw)
            raw.tidy()  # before it is read by many chunks, each of which looks at every file
            step.wrote = exported > 0
        if exported and self.topics:
            with self._step(sink_step(self.topics, self.table)) as step:
                step.wrote = True
        return exported

    def curate(self, contract: Contract) -> Curated:
        """Take an event's new rows into its table, or into the quarantine; say what became of them."""
        with self._step(curate_step(self.lake, contract)) as step:
            count = curate(self.lake, contract)
            step.wrote = count.taken + count.refused > 0
        return count

    def rebuild(self, contract: Contract, day: date) -> Curated:
        """Make a day of an event's table anew from the raw zone; say what became of its events."""
        with self._step(curate_step(self.lake, contract)) as step:
            count = rebuild_day(self.lake, contract, day)
            step.wrote = True
        return count

    def tidy(self) -> None:
        """Make few files of many in every table behind the raw one; what a table has stays."""
        self.lake.tidy(self.contracts)

    async def retain(self, stored: StoredEvents) -> None:
        """Drop what is kept no longer and is no longer needed by a later step."""
        await retain(stored, self.lake, self.contracts, self.told, self.lineage.now().date())

    def has_old_marts(self) -> bool:
        """Return whether marts are to be made of something else than they were, or no more; raise `ModelsError`."""
        if self.project is None:
            return False
        inputs = inputs_of(self.project, self.lake, self.contracts)
        return bool(old_marts(self.project, self.lake, inputs) or unmade_marts(self.lake, marts_of(self.project)))

    def build(self) -> "Built":
        """Bring the marts up to the curated zone and say what was done; raise `ModelsError`."""
        from orderflow_analytics.marts.build import Built, build_marts  # 25 MB of DuckDB, which no other step needs

        if self.project is None:
            return Built()
        began = self.lineage.now()
        with self._step(Step("dbt", (), ())):
            built = build_marts(self.project, self.lake, self.contracts)
        if self.lineage.is_heard:
            self._note_marts(built, began)
        return built

    def _note_marts(self, built: "Built", began: datetime) -> None:
        from orderflow_analytics.lineage.models import mart_steps  # 20 MB of sqlglot

        for step in mart_steps(self.lake, self.contracts, built.made, built.marts):
            self.lineage.note(step, began)

    @contextmanager
    def _step(self, step: Step) -> Iterator["_Running"]:
        """Note a step at its end, where it has failed or has written something."""
        began, running = self.lineage.now(), _Running()
        try:
            yield running
        except Exception as error:
            self.lineage.note(step, began, str(error))
            raise
        if running.wrote:
            self.lineage.note(step, began)


@dataclass
class _Running:
    wrote: bool = False


async def fill(connection: asyncpg.Connection, pipeline: Pipeline) -> Report:
    """Bring the lake up to what is stored, and drop what is kept no longer; raise `AnalyticsError`.

    The lease lasts as the connection.
    """
    stored, began = StoredEvents(connection), pipeline.lineage.now()
    await stored.lease()
    with pipeline.lineage.telling():
        exported = await pipeline.export(stored)
        held_up = await stored.held_up(pipeline.lake.raw().position, began - _SHORTLY)
        curated = {contract.event: pipeline.curate(contract) for contract in pipeline.contracts}
        pipeline.tidy()
        await pipeline.retain(stored)
        return Report(exported, held_up, curated, pipeline.has_old_marts())


async def publish(connection: asyncpg.Connection, pipeline: Pipeline) -> "Built":
    """Bring the marts up to the lake, and return what was done; raise `AnalyticsError`.

    The lease lasts as the connection.
    """
    await StoredEvents(connection).lease()
    with pipeline.lineage.telling():
        return pipeline.build()
