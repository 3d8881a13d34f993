"""One run from what the sink stored to what can be asked, step by step; each goes on where its last run ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from orderflow_analytics.contracts.contract import Contract
from orderflow_analytics.lake.curate import Curated, curate
from orderflow_analytics.lake.export import export
from orderflow_analytics.lake.stored_events import StoredEvents
from orderflow_analytics.lake.zones import Lake


@dataclass
class Report:
    """What a run did: how many events came into the raw zone, by event what became of them in the
    curated one, and which marts were made anew."""

    exported: int = 0
    curated: Mapping[str, Curated] = field(default_factory=dict)
    marts: Sequence[str] = ()


async def refresh(
    connection: asyncpg.Connection, lake: Lake, contracts: Sequence[Contract], project: Path | None
) -> Report:
    """Bring the lake and its marts up to what is stored; raise `AnalyticsError`. The lease lasts as the connection."""
    stored = StoredEvents(connection)
    await stored.lease()
    raw = lake.raw()
    exported = await export(stored, raw)
    raw.tidy()  # before it is read by many chunks, each of which looks at every file
    curated = {contract.event: curate(lake, contract) for contract in contracts}
    lake.tidy(contracts)
    if project is None:
        return Report(exported, curated)
    from orderflow_analytics.marts.build import build_marts  # 25 MB of DuckDB, which no other step needs

    return Report(exported, curated, build_marts(project, lake, contracts))
