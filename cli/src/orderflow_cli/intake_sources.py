"""Chooses the reader of an input file by its name, for `orderflow orders load`."""

from pathlib import Path

from orderflow_cli.intake_mapping import OrderMapping
from orderflow_cli.intake_rows import LoadError, Source
from orderflow_cli.intake_text import CsvSource, NdjsonSource

_NDJSON = (".ndjson", ".jsonl")


def open_source(path: Path, mapping: OrderMapping | None) -> Source:
    """Open a file and check it against the mapping; raises LoadError."""
    try:
        source = _open(path, mapping)
    except OSError as error:
        raise LoadError(f"{path} cannot be read: {error.strerror}", "Give another file") from None
    if mapping is not None and source.columns is not None:
        mapping.check_columns(source.columns)
    return source


def _open(path: Path, mapping: OrderMapping | None) -> Source:
    suffix = path.suffix.lower()
    if suffix in _NDJSON:
        return NdjsonSource(path)
    if suffix == ".csv":
        if mapping is None:
            raise LoadError(f"{path} needs a mapping from its columns to an order", "Give one with --mapping")
        return CsvSource(path)
    if suffix == ".parquet":
        # pyarrow takes 0.3 s to import, which no other command should wait for
        from orderflow_cli.intake_parquet import ParquetSource

        return ParquetSource(path, None if mapping is None else mapping.columns)
    raise LoadError(f"{path}: not known by its name", f"Name it {', '.join((*_NDJSON, '.csv'))} or .parquet")
