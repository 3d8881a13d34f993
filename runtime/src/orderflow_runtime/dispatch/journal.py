"""What is written down of items that did not go straight, so that their story can be told (`history.py`)."""

from collections.abc import Iterator

from orderflow_runtime.core.store import JournalRow
from orderflow_runtime.dispatch.execution import BatchExecution
from orderflow_runtime.service import Verdict


def journal_rows(batch: BatchExecution) -> Iterator[JournalRow]:
    """Yield a row for each attempt that failed, each wait, each death, and each item that came through after all."""
    for item in batch.handled:
        if item.redrive_of is not None:
            yield JournalRow(item.key, "REDRIVEN", item.type, item.event_id)
        if item.parked_id is not None:
            yield JournalRow(item.key, "HANDLED", item.type, item.event_id, item.attempts + 1)
    for park in batch.parked:
        item, failed = park.item, park.attempts > 0
        if item.not_taken is not None and item.not_taken.verdict is Verdict.WAIT and item.parked_id is not None:
            continue  # its attempt goes on: that was told when it was put aside
        what, due = ("FAILED", park.delay) if failed else ("WAITS", None)
        yield JournalRow(item.key, what, item.type, item.event_id, park.attempts or None, park.reason, due)
    for item in batch.dropped:
        yield JournalRow(item.key, "DROPPED", item.type, item.event_id, item.attempts + 1, str(item.not_taken))
    for letter in batch.dead:
        if letter.key is not None:
            yield JournalRow(letter.key, "DEAD", letter.type, letter.event_id, letter.attempts or None, letter.reason)
