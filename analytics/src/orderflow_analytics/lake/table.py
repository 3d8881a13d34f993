"""One Delta table, and how its rows come into it exactly once.

A commit holds the rows and, as its application transaction, how far its source has been read: either both are there
or neither. delta-rs takes the same transaction twice, so that alone would not do. But a commit here is never retried on
top of another's: it succeeds as the very next version of the table that was read, or not at all. Whoever wrote in
between, a second exporter or a frozen one that wakes, makes it fail, and a new run begins by reading the position.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import ColumnProperties, CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError

from orderflow_analytics.errors import LakeBusyError, OtherTableError

SOURCE, _REBUILDS = "orderflow", "orderflow rebuilds"
"""The applications that transactions are told of: how far the source was read, and how often a part was made anew."""
_AT_ONCE = 200
_GROUP_ROWS, _GROUP_BYTES = 10_000, 2 * 1024 * 1024
_MANY_FILES = 20
_FILE_BYTES = 64 * 1024 * 1024
KEPT_HOURS = 168
"""For how long a reader finds what it began to read."""
Partitions = tuple[str, Sequence[str]]
"""A column by which a table is partitioned, and which values of it."""


@dataclass
class LakeTable:
    """A table at a place: a folder, or a URL such as s3://bucket/lake/raw."""

    uri: str
    schema: pa.Schema
    partition_by: Sequence[str]
    owner: str
    """The flow whose events it has."""

    def __post_init__(self) -> None:
        """Make the table where it is not there yet; raise `OtherTableError` when what is there is another."""
        by = list(self.partition_by)
        self._delta = DeltaTable.create(self.uri, self.schema, mode="ignore", partition_by=by, name=self.owner)
        self._check()

    def _check(self) -> None:
        found, by = self._delta.metadata(), list(self.partition_by)
        if found.name != self.owner:
            raise OtherTableError(f"{self.uri} is a table of flow {found.name}, not of {self.owner}; name another lake")
        kept = pa.schema(self._delta.schema().to_arrow())
        other = [one.name for one in self.schema if one.name in kept.names and not _fit(kept.field(one.name), one)]
        if other or found.partition_columns != by:
            raise OtherTableError(
                f"{self.uri} has another type of {', '.join(other or by)} than the contract has now; move it away, and "
                "the next run makes it anew from the raw zone"
            )

    @property
    def position(self) -> int:
        """Return how far its source has been read: all batches up to this one; 0 where none."""
        return int(self._delta.transaction_version(SOURCE) or 0)

    @property
    def made(self) -> str:
        """Return what tells this table from one that was made anew at its place."""
        return str(self._delta.metadata().id)

    @property
    def rebuilds(self) -> int:
        """Return how often a part of it was made anew."""
        return int(self._delta.transaction_version(_REBUILDS) or 0)

    def count(self) -> int:
        """Return how many rows it has, as its log says."""
        files = pa.table(self._delta.get_add_actions(flatten=True))
        return int(pc.sum(files["num_records"]).as_py() or 0)

    def newest(self, column: str) -> datetime | None:
        """Return the latest time in a column, rounded up to a millisecond as the log has it; None where no rows are."""
        files = pa.table(self._delta.get_add_actions(flatten=True))
        found: datetime | None = pc.max(files[f"max.{column}"]).as_py() if files.num_rows else None
        return None if found is None else found + timedelta(milliseconds=1)

    def parts(self, column: str) -> list[str]:
        """Return which values there are of a column by which the table is partitioned."""
        files = pa.table(self._delta.get_add_actions(flatten=True))
        found: list[str] = pc.unique(files[f"partition.{column}"]).to_pylist() if files.num_rows else []
        return found

    def widen(self) -> None:
        """Give the table the columns that its contract has got since; write nothing where it has them all."""
        if set(_places(self.schema)) - set(_places(pa.schema(self._delta.schema().to_arrow()))):
            self.append(self.schema.empty_table())

    def append(self, rows: pa.Table, position: int | None = None) -> None:
        """Add rows, and with them the new position; raise `LakeBusyError`, and add nothing, when another wrote."""
        told = None if position is None else [Transaction(SOURCE, position)]
        with self._as_next_version():
            write_deltalake(
                self._delta,
                rows.select(self.schema.names).cast(self.schema),
                mode="append",
                schema_mode="merge",  # a contract that has grown adds its column
                writer_properties=writer(rows.nbytes, rows.num_rows),
                commit_properties=CommitProperties(app_transactions=told, max_commit_retries=0),
            )
        pa.default_memory_pool().release_unused()  # or what each chunk leaves adds up to 100 MB

    def replace(self, rows: pa.RecordBatchReader, column: str, value: str) -> None:
        """Put these rows in the place of all that a partition has; the position stays. Raise `LakeBusyError`."""
        with self._as_next_version():
            write_deltalake(
                self._delta,
                rows,
                mode="overwrite",
                schema_mode="merge",  # as in append
                predicate=f"{column} = '{value}'",
                writer_properties=writer(),
                commit_properties=CommitProperties(
                    app_transactions=[Transaction(_REBUILDS, self.rebuilds + 1)], max_commit_retries=0
                ),
            )
        self._delta.update_incremental()

    def take_out(self, within: str, events: Sequence[tuple[str, str]]) -> None:
        """Remove events, by source and id, from a part of the table; raise `LakeBusyError`."""
        for start in range(0, len(events), _AT_ONCE):
            named = " OR ".join(
                f"(event_source = {_text(source)} AND event_id = {_text(name)})"
                for source, name in events[start : start + _AT_ONCE]
            )
            with self._as_next_version():
                self._delta.delete(f"{within} AND ({named})", commit_properties=CommitProperties(max_commit_retries=0))

    def tidy(self) -> None:
        """Make few files of many, and remove what no reader of the last week needs.

        A partition has many where it has more than 20, and any that has several where the table has more than twice as
        many as it has partitions, and 20.
        """
        files = self._files()
        many = len(files) > 2 * len(by_partition := Counter(files)) + _MANY_FILES
        crowded = [part for part, count in by_partition.items() if count > (1 if many else _MANY_FILES)]
        for partition in crowded:
            self._compact(dict(zip(self.partition_by, partition, strict=True)))
        if crowded:
            self.remove_unread()

    def _compact(self, partition: Mapping[str, str]) -> None:
        """Make few files of those of a partition."""
        within = [(column, "=", value) for column, value in partition.items()]
        groups = [
            group
            for file in self._delta.to_pyarrow_dataset(file_pruning_predicate=within).get_fragments()
            for group in file.row_groups
        ]
        size, rows = sum(group.total_byte_size for group in groups), sum(group.num_rows for group in groups)
        with self._as_next_version():
            self._delta.optimize.compact(
                within,
                target_size=_FILE_BYTES,
                max_concurrent_tasks=1,  # what a run holds in memory
                writer_properties=writer(size, rows),
                commit_properties=CommitProperties(max_commit_retries=0),
            )

    def remove(self, old: ds.Expression, predicate: str) -> None:
        """Remove rows, which `old` and, in SQL, `predicate` say alike; write nothing where there are none."""
        if not self.rows(old, self.schema.names[:1]).head(1).num_rows:
            return
        with self._as_next_version():
            once = CommitProperties(max_commit_retries=0)
            self._delta.delete(predicate, writer_properties=writer(), commit_properties=once)
        self.remove_unread()

    def remove_unread(self) -> None:
        """Remove files that no reader of the last week needs, also those that a run which was killed never told of."""
        self._delta.vacuum(KEPT_HOURS, dry_run=False, full=True)

    def _files(self) -> list[tuple[str, ...]]:
        """Return of each file the partition that it is of."""
        files = pa.table(self._delta.get_add_actions(flatten=True))
        return list(zip(*(map(str, files[f"partition.{name}"].to_pylist()) for name in self.partition_by), strict=True))

    @contextmanager
    def _as_next_version(self) -> Iterator[None]:
        try:
            yield
        except CommitFailedError as error:
            raise LakeBusyError(f"{self.uri}: another run wrote to it; run again when that has ended") from error

    def rows(self, wanted: ds.Expression, columns: Sequence[str], within: Partitions | None = None) -> ds.Scanner:
        """Return a scan of the rows that are wanted, not read far ahead; what is not `within` costs nothing."""
        only = None if within is None else [(within[0], "in", list(within[1]))]
        dataset = self._delta.to_pyarrow_dataset(file_pruning_predicate=only)
        return dataset.scanner(columns, wanted, batch_readahead=1, fragment_readahead=1, use_threads=False)


def writer(size: int = 0, rows: int = 0) -> WriterProperties:
    """Return how files of the lake are written, for so many bytes in so many rows; for narrow ones where none are told.

    A row group is what a reader has to hold, and what it can pass over. Without dictionaries its size in the file's
    foot is what it takes in memory.
    """
    fitting = _GROUP_BYTES * rows // size if size else _GROUP_ROWS
    plain = ColumnProperties(dictionary_enabled=False)
    return WriterProperties(
        compression="ZSTD", max_row_group_size=min(max(fitting, 1), _GROUP_ROWS), default_column_properties=plain
    )


def _text(value: str) -> str:
    """Return a text as SQL has it."""
    return "'" + value.replace("'", "''") + "'"


def _places(fields: Iterable[pa.Field], around: str = "") -> Iterator[str]:
    """Yield where there are columns, and fields within them."""
    for field in fields:
        yield around + field.name
        kind = field.type
        while pa.types.is_list(kind):
            kind = kind.value_type
        if pa.types.is_struct(kind):
            yield from _places(kind, f"{around}{field.name}.")


def _fit(kept: pa.Field, given: pa.Field) -> bool:
    """Return whether values of a column may be added to one that is kept; within it there may be fewer, or more."""
    if pa.types.is_struct(kept.type) and pa.types.is_struct(given.type):
        return all(
            _fit(kept.type.field(one.name), one) for one in given.type if kept.type.get_field_index(one.name) >= 0
        )
    if pa.types.is_list(kept.type) and pa.types.is_list(given.type):
        return _fit(kept.type.value_field, given.type.value_field)
    return bool(kept.type == given.type)
