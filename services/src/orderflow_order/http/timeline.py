"""An order's timeline: its history as the domain wrote it, and the runtime's bookkeeping of its events, as one list."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from orderflow_order.domain import Entry
from orderflow_runtime import HistoryStep

_history = TypeAdapter(list[Entry])


def merge(history: str, steps: Sequence[HistoryStep]) -> list[dict[str, Any]]:
    """Return the entries, oldest first, those of `history` with when their event was taken in and its trace.

    What did not go straight stands between them, and what waits now at the end.
    """
    taken = {(step.type, step.since): step for step in steps if step.what == "TAKEN"}
    told = [_decided(entry, taken.get((entry.what, entry.at))) for entry in _history.validate_json(history)]
    others = [_happened(step) for step in steps if step.what != "TAKEN"]
    return sorted(told + others, key=_at)


def first_trace(steps: Iterable[HistoryStep]) -> str | None:
    """Return the id of the first recorded trace."""
    return next((step.trace for step in steps if step.trace), None)


def _decided(entry: Entry, taken: HistoryStep | None) -> dict[str, Any]:
    told = {"at": entry.at, "what": entry.what, "state": entry.state, "detail": entry.detail}
    if taken is not None:
        told |= {"taken": taken.at, "trace": taken.trace}
    return _present(told)


def _happened(step: HistoryStep) -> dict[str, Any]:
    return _present(
        {
            "at": step.at,
            "what": step.what,
            "event": step.type,
            "attempt": step.attempt,
            "detail": step.reason,
            "due": step.due_at,
        }
    )


def _present(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if value is not None}


def _at(entry: Mapping[str, Any]) -> datetime:
    at: datetime = entry["at"]
    return at
