"""From Postgres to the raw zone: chunk by chunk, each a commit that also says how far it came."""

from orderflow_analytics.lake.stored_events import StoredEvents
from orderflow_analytics.lake.table import LakeTable

ROWS_AT_A_TIME = 20_000
"""Rows of one commit, about: what a run holds in memory at a time."""


async def export(stored: StoredEvents, raw: LakeTable) -> int:
    """Add to the raw zone what was stored since its position; return how many events."""
    exported = 0
    while (rows := await stored.after(raw.position, ROWS_AT_A_TIME)).num_rows:
        raw.append(rows, position=rows["batch"][-1].as_py())
        exported += rows.num_rows
    return exported
