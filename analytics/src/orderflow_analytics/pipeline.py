"""One run from what the sink stored to what can be asked, step by step; each goes on where its last run ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg

from orderflow_analytics.contracts.contract import Contract
from orderflow_analytics.lake.curate import Curated, curate
from orderflow_analytics.lake.export import export
from orderflow_analytics.lake.stored_events import StoredEvents
from orderflow_analytics.lake.zones import Lake


@dataclass
class Report:
    """What a run did: how many events came into the raw zone, and by event what became of them in the curated one."""

    exported: int = 0
    curated: Mapping[str, Curated] = field(default_factory=dict)


async def fill_lake(connection: asyncpg.Connection, lake: Lake, contracts: Sequence[Contract]) -> Report:
    """Bring the lake up to what is stored; raise `AnalyticsError`. The connection's lease lasts as long as it."""
    stored = StoredEvents(connection)
    await stored.lease()
    exported = await export(stored, lake.raw())
    return Report(exported, {contract.event: curate(lake, contract) for contract in contracts})
