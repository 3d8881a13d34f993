"""From Postgres to the raw zone: chunk by chunk, each a commit that also says how far it came.

While one chunk is written the next is read, since the one keeps this process busy and the other Postgres.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import pyarrow.compute as pc

from orderflow_analytics.lake.stored_events import StoredEvents
from orderflow_analytics.lake.table import LakeTable

MOST_ROWS, MOST_BYTES = 20_000, 4 * 1024 * 1024
"""Where a commit ends, give or take one batch: what a run holds in memory does not grow with what there is to do."""
T = TypeVar("T")


async def export(stored: StoredEvents, raw: LakeTable) -> int:
    """Add to the raw zone what was stored since its position; return how many events."""
    exported = 0
    await stored.check(raw.position, raw.newest("stored_at"), raw.parts("event_type"))
    rows = await stored.after(raw.position, MOST_ROWS, MOST_BYTES)
    while rows.num_rows:
        exported += rows.num_rows
        position = pc.max(rows["batch"]).as_py()
        writing = asyncio.to_thread(raw.append, rows, position)
        rows = await _both(writing, stored.after(position, MOST_ROWS, MOST_BYTES))
    return exported


async def _both(first: Awaitable[None], second: Awaitable[T]) -> T:
    """Return what the second gives when both have ended; raise what one of them raised, the first before the second."""
    failure, found = await asyncio.gather(first, second, return_exceptions=True)
    if isinstance(failure, BaseException):
        raise failure
    if isinstance(found, BaseException):
        raise found
    return found
