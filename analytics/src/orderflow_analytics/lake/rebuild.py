"""A day of an event's curated table made anew from the raw zone: what it was, or what its contract now makes of it.

What newly does not fit is in the quarantine before the day is replaced, and what newly fits leaves it afterwards. So a
process that dies between leaves an event in both, and never in neither; the day made anew once more mends that.
"""

from datetime import UTC, date, datetime, time, timedelta
from tempfile import TemporaryFile

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from orderflow_analytics.contracts.contract import Contract
from orderflow_analytics.errors import DayGoneError
from orderflow_analytics.lake.curate import Curated, between, chunks, judge_all
from orderflow_analytics.lake.repeats import Repeats, pairs
from orderflow_analytics.lake.table import LakeTable
from orderflow_analytics.lake.zones import EVENT, EVENT_DATE, TYPE, Lake

_IDENTITY = ["event_source", "event_id"]


def rebuild_day(lake: Lake, contract: Contract, day: date) -> Curated:
    """Make a day (UTC) of an event's table anew, as far as the table has come; say what became of its events.

    Raise `DayGoneError`, and leave all as it was, where the raw zone has not got all of them any more.
    """
    raw, table, quarantine, count = lake.raw(), lake.curated(contract), lake.quarantine(), Curated()
    of_event = TYPE.name, [contract.event]
    of_day = _of_day(day)
    known = of_day & (pc.field("batch") <= table.position)
    _check(raw.rows(known, _IDENTITY, of_event), table, day)
    repeats = Repeats(raw.rows(known, ["event_id", "event_time"], of_event))
    aside = _identities(quarantine.rows(of_day, _IDENTITY, of_event).to_table())
    with TemporaryFile() as file:
        with pa.ipc.new_stream(file, table.schema) as spool:
            for first, last in chunks(raw, of_event, 0, known):
                rows = raw.rows(known & between(first, last), [*EVENT.names, "data"], of_event).to_table()
                fresh = repeats.left_out(rows.sort_by("batch"))
                fitting, refused = judge_all(contract, fresh)
                _set_aside(quarantine, refused, aside)
                spool.write_table(fitting.select(table.schema.names).cast(table.schema))
                count.taken += fitting.num_rows
                count.refused += refused.num_rows
                count.repeated += rows.num_rows - fresh.num_rows
        file.seek(0)
        table.replace(pa.ipc.open_stream(file), EVENT_DATE.name, day.isoformat())
    fits = aside & _identities(table.rows(of_day, _IDENTITY, (EVENT_DATE.name, [day.isoformat()])).to_table())
    quarantine.take_out(f"{TYPE.name} = '{contract.event}'", sorted(fits))
    return count


def _check(coming: ds.Scanner, table: LakeTable, day: date) -> None:
    """Raise `DayGoneError` where the table has events of the day that do not come from the raw zone any more."""
    came, there = _names(coming), _names(table.rows(pc.scalar(True), _IDENTITY, (EVENT_DATE.name, [day.isoformat()])))
    gone = pc.sum(pc.invert(pc.is_in(there, pc.unique(came)))).as_py() or 0
    if gone:
        raise DayGoneError(
            f"{table.uri}: {gone:,} events of {day} are not in the raw zone any more; the day stays as it was"
        )


def _names(events: ds.Scanner) -> pa.ChunkedArray:
    """Return each event's source and id as one text: there may be millions, and no zero byte in any."""
    rows = events.to_table()
    return pc.binary_join_element_wise(*(rows[name] for name in _IDENTITY), "\0")


def _of_day(day: date) -> ds.Expression:
    begin = datetime.combine(day, time.min, UTC)
    return (pc.field("event_time") >= begin) & (pc.field("event_time") < begin + timedelta(days=1))


def _identities(rows: pa.Table) -> set[tuple[str, str]]:
    return set(pairs(rows))


def _set_aside(quarantine: LakeTable, refused: pa.Table, aside: set[tuple[str, str]]) -> None:
    new = refused.filter(pa.array([pair not in aside for pair in pairs(refused)], pa.bool_()))
    if new.num_rows:
        quarantine.append(new)
