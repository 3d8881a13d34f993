"""Chooses the reader of an input file by its name, for `orderflow orders load`."""

from pathlib import Path

from orderflow_cli.bulk_load.csv_rows import CsvSource
from orderflow_cli.bulk_load.json_rows import JsonSource
from orderflow_cli.bulk_load.mapping import OrderMapping
from orderflow_cli.bulk_load.rows import LoadError, Source
from orderflow_cli.bulk_load.text import NdjsonSource, TextFile

_NDJSON = (".ndjson", ".jsonl")
_BEGINNING = 1_000
_TEXT = (*_NDJSON, ".json", ".csv")


def open_source(path: Path, mapping: OrderMapping | None) -> Source:
    """Open a file and check it against the mapping; raise `LoadError`."""
    try:
        source = _open(path, mapping)
    except OSError as error:
        raise LoadError(f"{path} cannot be read: {error.strerror or error}", "Give another file") from None
    if mapping is not None and source.columns is not None:
        mapping.check_columns(source.columns)
    return source


def _open(path: Path, mapping: OrderMapping | None) -> Source:
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    kind = suffixes[0] if suffixes[1:] == [".gz"] else "".join(suffixes[-1:])
    if kind == ".csv":
        if mapping is None:
            raise LoadError(f"{path} needs a mapping from its columns to an order", "Give one with --mapping")
        return CsvSource(
            TextFile(path, mapping.csv.encoding), mapping.columns, mapping.csv.delimiter, mapping.makes_lines
        )
    if kind in _TEXT:
        file = TextFile(path)
        return JsonSource(file) if kind == ".json" and _holds_array(file) else NdjsonSource(file)
    if kind == ".parquet" and suffixes[-1] == ".parquet":
        # pyarrow takes 0.3 s to import, which no other command should wait for
        from orderflow_cli.bulk_load.parquet import ParquetSource

        return ParquetSource(path, None if mapping is None else mapping.columns)
    raise LoadError(f"{path}: not known by its name", f"Name it {', '.join(_TEXT)}, any of them .gz, or .parquet")


def _holds_array(file: TextFile) -> bool:
    """Return whether a file begins as an array, rather than as one object a line."""
    with file.text() as (text, _):
        return text.read(_BEGINNING).lstrip().startswith("[")
