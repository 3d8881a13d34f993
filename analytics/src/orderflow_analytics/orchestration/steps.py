"""The pipeline's steps as an asset takes them: each connects, takes the lease, works, and tells of it."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import date

import dagster as dg

from orderflow_analytics.configuration import connected
from orderflow_analytics.contracts.contract import Contract
from orderflow_analytics.errors import AnalyticsError, LakeBusyError, StoredEventsError
from orderflow_analytics.lake.curate import Curated
from orderflow_analytics.lake.stored_events import StoredEvents
from orderflow_analytics.marts.build import Built, ModelsFailError
from orderflow_analytics.pipeline import Pipeline


@dataclass(frozen=True)
class Steps:
    """A pipeline's steps, and the environment that says where the database is."""

    pipeline: Pipeline
    env: Mapping[str, str]

    async def export(self) -> int:
        """Bring the raw zone up to what is stored; return how many events came."""
        async with self._leased() as stored:
            return await self.pipeline.export(stored)

    async def curate(self, contract: Contract) -> Curated:
        """Bring an event's table up to the raw zone; say what became of its events."""
        async with self._leased():
            return self.pipeline.curate(contract)

    async def rebuild(self, contract: Contract, day: date) -> Curated:
        """Make a day of an event's table anew; say what became of its events."""
        async with self._leased():
            return self.pipeline.rebuild(contract, day)

    async def tidy(self) -> int:
        """Make few files of many, and drop what is kept no longer; return how many events are in the quarantine."""
        async with self._leased() as stored:
            self.pipeline.tidy()
            await self.pipeline.retain(stored)
            return self.pipeline.lake.quarantine().count()

    async def build(self) -> Built:
        """Bring the marts up to the curated zone."""
        async with self._leased():
            return self.pipeline.build()

    async def waiting(self) -> tuple[int, float]:
        """Return how many stored events the lake has not got yet, and for how many seconds the oldest has waited."""
        async with connected(self.env) as connection:
            return await StoredEvents(connection).waiting(self.pipeline.lake.raw().position)

    @asynccontextmanager
    async def _leased(self) -> AsyncIterator[StoredEvents]:
        async with connected(self.env) as connection:
            stored = StoredEvents(connection)
            await stored.lease()
            with self.pipeline.lineage.telling():
                yield stored


@contextmanager
def giving_up() -> Iterator[None]:
    """Let the graph retry what may pass by itself, and raise `Failure`, which is not retried, for what does not."""
    try:
        yield
    except (LakeBusyError, StoredEventsError, ModelsFailError):
        raise
    except AnalyticsError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
