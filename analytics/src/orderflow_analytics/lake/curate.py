"""From the raw zone to the curated one: each event typed by its contract, once, and what does not fit set aside.

A chunk goes to the quarantine first and to the curated table second, and only the last commit moves the position. Of a
chunk that was cut off before it, what is in either by then stays there and nowhere else; all the rest is judged anew,
perhaps by another version of the contract. So each event is in one of the two, never in both.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from orderflow_analytics.contracts.contract import Contract, judge
from orderflow_analytics.errors import OtherTableError
from orderflow_analytics.lake.export import MOST_BYTES, MOST_ROWS
from orderflow_analytics.lake.repeats import Repeats
from orderflow_analytics.lake.table import LakeTable, Partitions
from orderflow_analytics.lake.zones import EVENT, EVENT_DATE, TYPE, Lake

_AT_ONCE = 1_000
MOST_DAYS = 30
CHUNKS_AT_ONCE = 20


@dataclass
class Curated:
    """What became of the events of one type: taken, refused, or there before."""

    taken: int = 0
    refused: int = 0
    repeated: int = 0


def curate(lake: Lake, contract: Contract) -> Curated:
    """Take into an event's curated table what came into the raw zone since its position; say what became of it."""
    raw, table, quarantine, count = lake.raw(), lake.curated(contract), lake.quarantine(), Curated()
    of_event = TYPE.name, [contract.event]
    if table.position > raw.position:
        raise OtherTableError(f"{table.uri} has come further than {raw.uri}: one of them is of another lake")
    table.widen()
    for window in windows(raw, of_event, table.position):
        repeats = Repeats(raw.rows(between(window[0][0], window[-1][1]), ["event_id", "event_time"], of_event))
        repeats.look(quarantine, of_event)
        repeats.look(table, (EVENT_DATE.name, [day.isoformat() for day in repeats.days]))
        for first, last in window:
            rows = raw.rows(between(first, last), [*EVENT.names, "data"], of_event).to_table().sort_by("batch")
            fresh = repeats.left_out(rows)
            fitting, refused = judge_all(contract, fresh)
            _commit(table, quarantine, fitting, refused, last)
            count.taken += fitting.num_rows
            count.refused += refused.num_rows
            count.repeated += rows.num_rows - fresh.num_rows
    return count


def is_behind(lake: Lake, contract: Contract) -> bool:
    """Return whether the raw zone has rows of an event that its curated table has not come to yet."""
    coming = pc.field("batch") > lake.curated(contract).position
    return bool(lake.raw().rows(coming, ["batch"], (TYPE.name, [contract.event])).head(1).num_rows)


def between(first: int, last: int) -> ds.Expression:
    """Return the condition that a row is of these batches, both included."""
    return (pc.field("batch") >= first) & (pc.field("batch") <= last)


def _commit(table: LakeTable, quarantine: LakeTable, fitting: pa.Table, refused: pa.Table, position: int) -> None:
    if refused.num_rows:
        quarantine.append(refused)
    *others, rest = _by_days(fitting)
    for part in others:
        table.append(part)
    table.append(rest, position=position)


def _dates(rows: pa.Table) -> pa.ChunkedArray:
    return pc.cast(rows["event_time"], pa.date32())


def _by_days(rows: pa.Table) -> list[pa.Table]:
    """Return the rows in parts of so many days: each day that a commit has is a file, held open until it ends."""
    days = pc.unique(rows[EVENT_DATE.name])
    starts = range(0, max(len(days), 1), MOST_DAYS)
    return [rows.filter(pc.is_in(rows[EVENT_DATE.name], days[start : start + MOST_DAYS])) for start in starts]


def chunks(
    raw: LakeTable, of_event: Partitions, position: int, among: ds.Expression | None = None
) -> Iterator[tuple[int, int]]:
    """Yield the first and the last batch of each chunk after a position, of some rows or all; a batch is never cut."""
    coming = pc.field("batch") > position
    sizes = raw.rows(coming if among is None else coming & among, ["batch", "size"], of_event)
    first, last, rows, size = 0, 0, 0, 0
    for batch, given_rows, given_size in _totals(sizes):
        if rows >= MOST_ROWS or size >= MOST_BYTES:
            yield first, last
            rows = size = 0
        first, last = (first if rows else batch), batch
        rows, size = rows + given_rows, size + given_size
    if rows:
        yield first, last


def windows(raw: LakeTable, of_event: Partitions, position: int) -> Iterator[list[tuple[int, int]]]:
    """Yield the chunks after a position, so many at a time as are looked for among known events together."""
    coming = chunks(raw, of_event, position)
    while window := list(islice(coming, CHUNKS_AT_ONCE)):
        yield window


def _totals(sizes: ds.Scanner) -> Iterator[tuple[int, int, int]]:
    """Yield the batches in order, each with its rows and bytes. There may be millions: they stay in Arrow."""
    summed = [("size", "count"), ("size", "sum")]
    pieces = [pa.table(piece).group_by("batch").aggregate(summed) for piece in sizes.to_batches()]
    if not pieces:
        return
    together = [("size_count", "sum"), ("size_sum", "sum")]
    totals = pa.concat_tables(pieces).group_by("batch").aggregate(together).sort_by("batch")
    for piece in totals.select(["batch", "size_count_sum", "size_sum_sum"]).to_batches(_AT_ONCE):
        yield from zip(*(column.to_pylist() for column in piece.columns), strict=True)


def judge_all(contract: Contract, rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return the rows that fit, typed, and those that do not; few at a time are there as Python's objects."""
    starts = range(0, max(rows.num_rows, 1), _AT_ONCE)
    fitting, refused = zip(*(_judge(contract, rows.slice(start, _AT_ONCE)) for start in starts), strict=True)
    return pa.concat_tables(fitting), pa.concat_tables(refused)


def _judge(contract: Contract, rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return the rows that fit, typed, and those that do not, with the reason."""
    events = zip(rows["data"].to_pylist(), rows["event_version"].to_pylist(), strict=True)
    judged, typed = judge(contract, events)
    fits = pa.array([not one.reason for one in judged], pa.bool_())
    event = rows.filter(fits).select(EVENT.names)
    fitting = pa.table(
        [_dates(event), *event.columns, *typed.columns], [EVENT_DATE.name, *EVENT.names, *typed.column_names]
    )
    refused = rows.filter(pc.invert(fits))
    refused = refused.append_column("reason", pa.array([one.reason for one in judged if one.reason], pa.string()))
    named = refused.append_column("event_type", pa.array([contract.event] * refused.num_rows, pa.string()))
    return fitting, named
