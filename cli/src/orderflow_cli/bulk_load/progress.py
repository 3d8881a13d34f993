"""What `orderflow orders load` leaves on disk: how far it is, to go on after Ctrl-C or a crash, and the refused rows.

Both advance together: the report is written first, and what it holds beyond the noted progress is cut off on resume,
so that no refused row is missing or stands twice.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from orderflow_cli.bulk_load.rows import LoadError


class Progress(BaseModel):
    """`row` is the number of the last row that is settled, as are all before it; counts are of orders."""

    fingerprint: str
    row: int = 0
    end: int = 0
    accepted: int = 0
    known: int = 0
    refused: int = 0
    report_bytes: int = 0


class Journal:
    """The progress file and the report of one load."""

    def __init__(self, state: Path, report: Path, fingerprint: str) -> None:
        self._state = state
        self.report = report
        self.progress = _read(state, report, fingerprint)
        with report.open("ab") as file:
            file.truncate(self.progress.report_bytes)  # what was written after the last noted progress

    def settle(self, refusals: Iterable[dict[str, Any]], progress: Progress) -> None:
        """Write refused rows, then how far all rows are settled."""
        lines = b"".join(to_json(refusal) + b"\n" for refusal in refusals)
        if lines:
            with self.report.open("ab") as file:
                file.write(lines)
        self.progress = progress.model_copy(update={"report_bytes": self.progress.report_bytes + len(lines)})
        scratch = self._state.with_name(self._state.name + ".new")
        scratch.write_text(self.progress.model_dump_json(), encoding="ascii")
        scratch.replace(self._state)

    def finish(self) -> None:
        """Forget the progress: the next load of this file begins anew, and finds its orders known.

        A report of nothing is removed.
        """
        self._state.unlink(missing_ok=True)
        if not self.progress.report_bytes:
            self.report.unlink(missing_ok=True)


def open_journal(state: Path, report: Path, fingerprint: str) -> Journal:
    """Open both; raise `LoadError` when they cannot be written."""
    try:
        journal = Journal(state, report, fingerprint)
        journal.settle((), journal.progress)
        return journal
    except OSError as error:
        raise LoadError(
            f"{error.filename} cannot be written: {error.strerror}", "Give another place with --state and --report"
        ) from None


def fingerprint(file: Path, mapping: Path | None, url: str) -> str:
    """Return what progress belongs to: the same file, mapping and address."""
    about = file.stat()
    parts = [str(file.absolute()), about.st_size, about.st_mtime_ns, url, mapping and mapping.read_text("utf-8")]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _read(state: Path, report: Path, fingerprint: str) -> Progress:
    """Return the progress so far; none for another file or mapping, which is safe: no order is placed twice."""
    new = Progress(fingerprint=fingerprint)
    try:
        progress = Progress.model_validate_json(state.read_bytes())
    except FileNotFoundError:
        return new
    except ValidationError:
        raise LoadError(f"{state} holds no progress of a load", "Give another place with --state") from None
    whole = not progress.report_bytes or (report.exists() and report.stat().st_size >= progress.report_bytes)
    return progress if progress.fingerprint == fingerprint and whole else new
