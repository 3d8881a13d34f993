"""For how long events are kept as they came: in Postgres, in the raw zone and in the quarantine, in whole days.

Postgres is told how far the raw zone came by what stands in that table's own log, in the commit of the rows, and drops
nothing beyond. The lake drops nothing while a contract has not judged all that the raw zone has. So a run that is
killed anywhere has lost nothing, and the next one drops the rest.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from orderflow_analytics.contracts.contract import Contract
from orderflow_analytics.lake.curate import is_behind
from orderflow_analytics.lake.stored_events import StoredEvents
from orderflow_analytics.lake.zones import Lake
from orderflow_model.service_config import LakeConfig

_TIME = """arrow_cast('{}', 'Timestamp(Microsecond, Some("UTC"))')"""
"""A time as delta-rs compares it; it refuses SQL's own TIMESTAMP for a column with a time zone."""


async def retain(
    stored: StoredEvents, lake: Lake, contracts: Iterable[Contract], told: LakeConfig, today: date
) -> None:
    """Drop what is kept no longer, `today` in UTC; raise `AnalyticsError`."""
    raw, quarantine = lake.raw(), lake.quarantine()
    by_event = {one.name: one.stored_days for one in told.events if one.stored_days}
    await stored.drop(told.stored_days, by_event, raw.position)
    kept = list(_kept(told))
    if kept and any(is_behind(lake, contract) for contract in contracts):
        return
    for events, others, days in kept:
        first = today - timedelta(days=days)
        begin = datetime.combine(first, time(), UTC)
        raw.remove(*_older(events, others, "stored_date", first, f"DATE '{first}'"))
        quarantine.remove(*_older(events, others, "stored_at", begin, _TIME.format(begin.isoformat())))


def _kept(told: LakeConfig) -> Iterator[tuple[Sequence[str], bool, int]]:
    """Yield for how many days the lake keeps these events or, where the flag says so, all but these."""
    by_event = {one.name: one.lake_days for one in told.events if one.lake_days}
    for event, days in by_event.items():
        yield [event], False, days
    if told.lake_days:
        yield list(by_event), True, told.lake_days


def _older(events: Sequence[str], others: bool, column: str, first: object, literal: str) -> tuple[ds.Expression, str]:
    """Return which rows are older, once for Arrow and once for Delta."""
    among = pc.field("event_type").isin(pa.array(events, pa.string()))
    names = ", ".join(f"'{event}'" for event in events)
    named = f"event_type {'NOT ' * others}IN ({names}) AND " if events else ""
    return (~among if others else among) & (pc.field(column) < pc.scalar(first)), f"{named}{column} < {literal}"
