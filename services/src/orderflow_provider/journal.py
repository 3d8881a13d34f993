"""The ledger's memory on disk: one JSON line per entry, so that a restarted provider knows what it captured.

A line is handed to the operating system before the answer goes out: it survives the process, not the machine.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from orderflow_provider.ledger import Entry

_ENTRY: TypeAdapter[Entry] = TypeAdapter(Entry)


def read_journal(path: Path) -> Iterator[Entry]:
    """Yield the entries written so far; a line that a crash tore was never answered, and is left out."""
    if path.exists():
        for line in path.read_bytes().splitlines():
            try:
                yield _ENTRY.validate_json(line)
            except ValidationError:
                continue


class Journal:
    """An open journal file."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(self._file, b"\n")  # ends a line that a crash tore

    def write(self, entry: Entry) -> None:
        """Append an entry."""
        os.write(self._file, _ENTRY.dump_json(entry, by_alias=True) + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
