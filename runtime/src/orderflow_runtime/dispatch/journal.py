"""What is written down of items that did not go straight, so that their story can be told (`history.py`)."""

from collections.abc import Iterable, Iterator, Sequence

from orderflow_runtime.core.store import DeadLetter, JournalRow, Park
from orderflow_runtime.core.work_item import WorkItem


def journal_rows(
    handled: Iterable[WorkItem], parked: Iterable[Park], dead: Sequence[DeadLetter]
) -> Iterator[JournalRow]:
    """Yield a row for each attempt that failed, each wait, each death, and each item that came through after all."""
    for item in handled:
        if item.redrive_of is not None:
            yield JournalRow(item.key, "REDRIVEN", item.type, item.event_id)
        if item.parked_id is not None:
            yield JournalRow(item.key, "HANDLED", item.type, item.event_id, item.attempts + 1)
    for park in parked:
        item, failed = park.item, park.attempts > 0
        what, due = ("FAILED", park.delay) if failed else ("WAITS", None)
        yield JournalRow(item.key, what, item.type, item.event_id, park.attempts or None, park.reason, due)
    for letter in dead:
        if letter.key is not None:
            yield JournalRow(letter.key, "DEAD", letter.type, letter.event_id, letter.attempts or None, letter.reason)
