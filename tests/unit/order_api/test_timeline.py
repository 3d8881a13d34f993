"""The timeline's list: what the domain decided, what happened on the way, and what waits, as one."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from orderflow_order.http.openapi import TimelineEntry
from orderflow_order.http.timeline import first_trace, merge
from orderflow_runtime.postgres.history import HistoryStep

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def step(at: datetime, what: str, type_: str, **more: Any) -> HistoryStep:
    """A step, as a query gives it."""
    nothing = dict.fromkeys(("event_id", "since", "attempt", "reason", "due_at", "trace"))
    return HistoryStep(at=at, what=what, type=type_, **(nothing | more))


def test_decisions_and_what_happened_on_the_way_are_one_list() -> None:
    """Each entry in order of time; a decision knows when its event was taken in, and by which trace."""
    history = [
        {"at": NOW.isoformat(), "what": "ORDER_CREATED", "state": "PENDING"},
        {"at": (NOW + SECOND).isoformat(), "what": "STOCK_RESERVED", "state": "RESERVED", "detail": "partial"},
    ]
    steps = [
        step(NOW + 2 * SECOND, "FAILED", "SHIPMENT_CREATED", attempt=1, reason="no", due_at=NOW + 3 * SECOND),
        step(NOW + 1.5 * SECOND, "TAKEN", "STOCK_RESERVED", since=NOW + SECOND, trace=TRACE),
        step(NOW + 9 * SECOND, "WAITING", "timer/deadline", due_at=NOW + 60 * SECOND),
    ]
    told = merge(json.dumps(history), steps)
    assert [(entry["what"], entry.get("state"), entry.get("event")) for entry in told] == [
        ("ORDER_CREATED", "PENDING", None),
        ("STOCK_RESERVED", "RESERVED", None),
        ("FAILED", None, "SHIPMENT_CREATED"),
        ("WAITING", None, "timer/deadline"),
    ]
    assert (told[1]["taken"], told[1]["trace"], told[1]["detail"]) == (NOW + 1.5 * SECOND, TRACE, "partial")
    assert (told[2]["attempt"], told[2]["detail"], told[2]["due"]) == (1, "no", NOW + 3 * SECOND)
    assert "taken" not in told[0]
    assert first_trace(steps) == TRACE
    for entry in told:
        TimelineEntry.model_validate(entry, extra="forbid")
