"""From Postgres to the raw zone: chunk by chunk, each a commit that also says how far it came."""

from orderflow_analytics.lake.stored_events import StoredEvents
from orderflow_analytics.lake.table import LakeTable

MOST_ROWS, MOST_BYTES = 5_000, 2 * 1024 * 1024
"""Where a commit ends, give or take one batch: what a run holds in memory does not grow with what there is to do."""


async def export(stored: StoredEvents, raw: LakeTable) -> int:
    """Add to the raw zone what was stored since its position; return how many events."""
    exported = 0
    await stored.check(raw.position, raw.newest("stored_at"), raw.parts("event_type"))
    while (rows := await stored.after(raw.position, MOST_ROWS, MOST_BYTES)).num_rows:
        raw.append(rows, position=rows["batch"][-1].as_py())
        exported += rows.num_rows
    return exported
