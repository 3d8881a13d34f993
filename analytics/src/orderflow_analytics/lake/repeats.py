"""Which events of a window of the raw zone are known already, or come in it twice.

To look for few events among all of their days costs as much as to look for many. So it is done once a window; what is
remembered is only what was found, and what each chunk adds to it.
"""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from orderflow_analytics.lake.table import LakeTable, Partitions

_IDENTITY = ["event_source", "event_id"]


class Repeats:
    """The events of a window, rows with `event_id` and `event_time`, that may have come before."""

    def __init__(self, window: ds.Scanner) -> None:
        ids = [pa.array([], pa.string())]
        days = [pa.array([], pa.date32())]
        for batch in window.to_batches():
            ids.append(batch["event_id"])
            days.append(pc.unique(pc.cast(batch["event_time"], pa.date32())))
        self._ids = pa.chunked_array(ids)
        self.days = sorted(set(pa.chunked_array(days).to_pylist()))
        """The days of these events: a repeat has the time of the first."""
        counted = pc.value_counts(self._ids)
        twice = counted.filter(pc.greater(counted.field("counts"), 1)).field("values")
        self._suspects: set[str] = set(twice.to_pylist())
        self._seen: set[tuple[str, str]] = set()

    def look(self, table: LakeTable, within: Partitions) -> None:
        """Find what this part of a table has of these events."""
        for batch in table.rows(pc.field("event_id").isin(pc.unique(self._ids)), _IDENTITY, within).to_batches():
            self._seen.update(pairs(batch))
            self._suspects.update(batch["event_id"].to_pylist())

    def left_out(self, rows: pa.Table) -> pa.Table:
        """Return a chunk of the window without the events that came before, the first of each event."""
        if not self._suspects:
            return rows
        kept = [pair[1] not in self._suspects or self._is_first(pair) for pair in pairs(rows)]
        return rows.filter(pa.array(kept, pa.bool_()))

    def _is_first(self, pair: tuple[str, str]) -> bool:
        first = pair not in self._seen
        self._seen.add(pair)
        return first


def pairs(rows: pa.Table | pa.RecordBatch) -> Iterator[tuple[str, str]]:
    """Yield what tells events from others: their source and id."""
    return zip(rows["event_source"].to_pylist(), rows["event_id"].to_pylist(), strict=True)
