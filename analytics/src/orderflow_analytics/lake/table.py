"""One Delta table, and how its rows come into it exactly once.

A commit holds the rows and, as its application transaction, how far its source has been read: either both are there
or neither. delta-rs takes the same transaction twice, so that alone would not do. But a commit here is never retried on
top of another's: it succeeds as the very next version of the table that was read, or not at all. Whoever wrote in
between, a second exporter or a frozen one that wakes, makes it fail, and a new run begins by reading the position.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError

from orderflow_analytics.errors import LakeBusyError

SOURCE = "orderflow"
"""The application that transactions are told of."""
WRITER = WriterProperties(compression="ZSTD")
"""How files of the lake are written."""
_MANY_FILES = 20
_FILE_BYTES = 64 * 1024 * 1024
_KEPT_HOURS = 168


@dataclass
class LakeTable:
    """A table at a place: a folder, or a URL such as s3://bucket/lake/raw."""

    uri: str
    schema: pa.Schema
    partition_by: Sequence[str]

    def __post_init__(self) -> None:
        """Make the table where it is not there yet."""
        self._delta = DeltaTable.create(self.uri, self.schema, mode="ignore", partition_by=list(self.partition_by))

    @property
    def position(self) -> int:
        """Return how far its source has been read: all batches up to this one; 0 where none."""
        return int(self._delta.transaction_version(SOURCE) or 0)

    def append(self, rows: pa.Table, position: int | None = None) -> None:
        """Add rows, and with them the new position; raise `LakeBusyError`, and add nothing, when another wrote."""
        told = None if position is None else [Transaction(SOURCE, position)]
        with self._as_next_version():
            write_deltalake(
                self._delta,
                rows.select(self.schema.names).cast(self.schema),
                mode="append",
                schema_mode="merge",  # a contract that has grown adds its column
                writer_properties=WRITER,
                commit_properties=CommitProperties(app_transactions=told, max_commit_retries=0),
            )

    def tidy(self) -> None:
        """Make few files of many, where a partition has many, and remove what no reader of the last week needs."""
        if self._most_files() <= _MANY_FILES:
            return
        with self._as_next_version():
            self._delta.optimize.compact(
                target_size=_FILE_BYTES,
                max_concurrent_tasks=1,  # what a run holds in memory
                writer_properties=WRITER,
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        self._delta.vacuum(_KEPT_HOURS, dry_run=False)

    def _most_files(self) -> int:
        """Return how many files the partition has that has most."""
        files = pa.table(self._delta.get_add_actions(flatten=True))
        columns = [files[f"partition.{name}"].to_pylist() for name in self.partition_by]
        return max(Counter(zip(*columns, strict=True)).values(), default=0)

    @contextmanager
    def _as_next_version(self) -> Iterator[None]:
        try:
            yield
        except CommitFailedError as error:
            raise LakeBusyError(f"{self.uri}: another run wrote to it; run again when that has ended") from error

    def rows(self, wanted: ds.Expression, columns: Sequence[str] | Mapping[str, ds.Expression]) -> ds.Scanner:
        """Return a scan of the rows that are wanted, read as it goes."""
        return self._delta.to_pyarrow_dataset().scanner(columns=columns, filter=wanted)
