"""From the raw zone to the curated one: each event typed by its contract, once, and what does not fit set aside.

A chunk goes to the quarantine first and to the curated table second, and only the second moves the position. A chunk
that was cut off between the two is judged anew, perhaps by another version of the contract: what is in the quarantine
by then stays there and nowhere else, all the rest is judged as new. So each event is in one of the two, never in both.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from orderflow_analytics.contracts.contract import Contract, judge
from orderflow_analytics.lake.export import MOST_BYTES, MOST_ROWS
from orderflow_analytics.lake.table import LakeTable
from orderflow_analytics.lake.zones import EVENT, EVENT_DATE, Lake

_SUMMED = ("batch", "size_count", "size_sum")
_IDENTITY = ["event_source", "event_id"]
Identity = tuple[str, str]


@dataclass
class Curated:
    """What became of the events of one type: taken, refused, or there before."""

    taken: int = 0
    refused: int = 0
    repeated: int = 0


def curate(lake: Lake, contract: Contract) -> Curated:
    """Take into an event's curated table what came into the raw zone since its position; say what became of it."""
    raw, table, quarantine, count = lake.raw(), lake.curated(contract), lake.quarantine(), Curated()
    of_event = pc.field("event_type") == contract.event
    for first, last in chunks(raw, of_event, table.position):
        chunk = of_event & (pc.field("batch") >= first) & (pc.field("batch") <= last)
        rows = raw.rows(chunk, [*EVENT.names, "data"]).to_table().sort_by("batch")
        fitting, refused = _judge(contract, _fresh(quarantine, rows, of_event))
        if refused.num_rows:
            quarantine.append(refused)
        fresh = _fresh(table, fitting, pc.field("event_date").isin(pc.unique(fitting["event_date"])))
        table.append(fresh, position=last)
        count.taken += fresh.num_rows
        count.refused += refused.num_rows
        count.repeated += rows.num_rows - refused.num_rows - fresh.num_rows
    return count


def chunks(raw: LakeTable, of_event: ds.Expression, position: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last batch of each chunk after a position; a batch is never cut."""
    wanted = of_event & (pc.field("batch") > position)
    sizes = raw.rows(wanted, {"batch": pc.field("batch"), "size": pc.binary_length(pc.field("data"))})
    first, last, rows, size = 0, 0, 0, 0
    for batch, (given_rows, given_size) in sorted(_totals(sizes).items()):
        if rows >= MOST_ROWS or size >= MOST_BYTES:
            yield first, last
            rows = size = 0
        first, last = (first if rows else batch), batch
        rows, size = rows + given_rows, size + given_size
    if rows:
        yield first, last


def _totals(sizes: ds.Scanner) -> dict[int, tuple[int, int]]:
    """Return the rows and the bytes of each batch."""
    totals: dict[int, tuple[int, int]] = {}
    for piece in sizes.to_batches():
        summed = pa.table(piece).group_by("batch").aggregate([("size", "count"), ("size", "sum")])
        for batch, rows, size in zip(*(summed[name].to_pylist() for name in _SUMMED), strict=True):
            before = totals.get(batch, (0, 0))
            totals[batch] = before[0] + rows, before[1] + size
    return totals


def _judge(contract: Contract, rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return the rows that fit, typed, and those that do not, with the reason."""
    events = zip(rows["data"].to_pylist(), rows["event_version"].to_pylist(), strict=True)
    judged, typed = judge(contract, events)
    fits = pa.array([not one.reason for one in judged], pa.bool_())
    event = rows.filter(fits).select(EVENT.names)
    dates = pc.cast(event["event_time"], pa.date32())
    fitting = pa.table([dates, *event.columns, *typed.columns], [EVENT_DATE.name, *EVENT.names, *typed.column_names])
    refused = rows.filter(pc.invert(fits))
    refused = refused.append_column("reason", pa.array([one.reason for one in judged if one.reason], pa.string()))
    named = refused.append_column("event_type", pa.array([contract.event] * refused.num_rows, pa.string()))
    return fitting, named


def _fresh(table: LakeTable, rows: pa.Table, within: ds.Expression) -> pa.Table:
    """Return the rows whose event is not in this part of the table yet, the first of each event.

    Of a curated table only the days of these events are looked at: a repeat has the time of the first.
    """
    seen: set[Identity] = set()
    for batch in table.rows(within & pc.field("event_id").isin(pc.unique(rows["event_id"])), _IDENTITY).to_batches():
        seen |= set(_pairs(batch))
    kept = []
    for pair in _pairs(rows):
        kept.append(pair not in seen)
        seen.add(pair)
    return rows.filter(pa.array(kept, pa.bool_()))


def _pairs(rows: pa.Table | pa.RecordBatch) -> Iterator[Identity]:
    return zip(rows["event_source"].to_pylist(), rows["event_id"].to_pylist(), strict=True)
