"""Tells of steps by OpenLineage: to an endpoint where OPENLINEAGE_URL names one, else to a file beside the lake.

What it cannot tell is said once and fails nothing: the data are there, whoever hears of it. Events are made and sent
when a run ends, since OpenLineage's classes take 35 MB, which no other step has to hold.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from orderflow_analytics.lineage.steps import Step, Told

FILE = "lineage.jsonl"
ENDPOINT = "OPENLINEAGE_URL"
"""OpenLineage's own variable: where to send events, instead of into the file."""
_MOST_BYTES = 16 * 1024 * 1024


@dataclass
class Lineage:
    """What a flow's runs have to tell, to a folder's file or to an endpoint; nothing where neither is named."""

    flow: str
    now: Callable[[], datetime]
    folder: Path | None = None
    endpoint: str | None = None
    told: list[Told] = field(default_factory=list)

    @property
    def is_heard(self) -> bool:
        """Return whether there is anywhere to tell it."""
        return self.folder is not None or self.endpoint is not None

    def note(self, step: Step, began: datetime, failure: str = "") -> None:
        """Remember a step that ends now."""
        self.told.append(Told(step, began, self.now(), failure))

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Tell at the end of what was noted by then, also where the work failed."""
        try:
            yield
        finally:
            self._tell()

    def _tell(self) -> None:
        told, self.told = self.told, []
        if not told or not self.is_heard:
            return
        from orderflow_analytics.lineage import events

        try:
            made = [event for one in told for event in events.events_of(self.flow, one)]
            if self.endpoint is not None:
                events.send(self.endpoint, made)
            elif self.folder is not None:
                _write(self.folder / FILE, events.lines(made))
        except Exception as error:  # an endpoint may fail in any way, and no way fails the run
            print(f"orderflow analytics: lineage was not told: {error}", file=sys.stderr)


def _write(file: Path, lines: Sequence[str]) -> None:
    """Append lines to a file; what it had before goes to one other where that is much."""
    if file.is_file() and file.stat().st_size > _MOST_BYTES:
        file.replace(file.with_suffix(f".old{file.suffix}"))
    with file.open("a", encoding="utf-8") as out:
        out.writelines(f"{line}\n" for line in lines)
