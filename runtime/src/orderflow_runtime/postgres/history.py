"""What one service's bookkeeping tells of one key, from events taken in to calls and dead letters.

The order service answers `GET /orders/{id}/timeline` by it, `orderflow trace` asks every service's schema.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orderflow_runtime.event_ids import id_range

HISTORY = """
SELECT at, 'TAKEN' AS what, type, id::text AS event_id, time AS since, NULL::int AS attempt, NULL::text AS reason,
       NULL::timestamptz AS due_at, encode(trace, 'hex') AS trace
FROM inbox
WHERE id BETWEEN $2 AND $3
UNION ALL
SELECT at, what, type, event_id, since, attempt, reason, due_at, NULL FROM journal WHERE key = $1
UNION ALL
SELECT clock_timestamp(), 'WAITING', type, NULL, parked_at, attempts, reason, due_at, NULL FROM parked WHERE key = $1
UNION ALL
SELECT clock_timestamp(), 'WAITING', 'call/' || kind, id, created_at, attempts, reason, NULL, NULL
FROM calls WHERE key = $1
UNION ALL
SELECT clock_timestamp(), 'WAITING', 'timer/' || name, NULL, NULL, NULL, NULL, due_at, NULL
FROM timers WHERE key = $1
ORDER BY at, since
"""

Read = Callable[..., Awaitable[Sequence[Mapping[str, Any]]]]


@dataclass(frozen=True, slots=True)
class HistoryStep:
    """One thing that happened to a key, by the database's clock.

    Args:
        at: When.
        what: TAKEN in, WAITING now, or what did not go straight: FAILED, WAITS, HANDLED (after all), DEAD, REDRIVEN,
            DROPPED (by a recipient), FIRED (a timer), UNKNOWN (a call's outcome), ANSWERED (a call).
        type: An event's type, timer/NAME or call/KIND.
        event_id: The event's id, or a call's idempotency key.
        since: The event's own time, or that since when it waits or is called.
        attempt: How often it was tried so far.
        reason: Why it failed or waits.
        due_at: When it is tried next, or falls due.
        trace: The id of its trace, where that is recorded.

    Example:
        >>> def told(steps: Sequence[HistoryStep]) -> list[str]:
        ...     return [f"{step.at:%H:%M:%S} {step.what} {step.type}" for step in steps]
    """

    at: datetime
    what: str
    type: str
    event_id: str | None
    since: datetime | None
    attempt: int | None
    reason: str | None
    due_at: datetime | None
    trace: str | None


async def read_history(read: Read, key: str) -> list[HistoryStep]:
    """Return what the runtime knows of a key, in order of time.

    Events of other producers, whose ids are their own, are told only where they failed.

    Args:
        read: What queries the service's schema, as `Intake.read` does.
        key: The key.

    Raises:
        UnavailableError: Postgres does not answer, where `read` is that of an `Intake`.

    Example:
        >>> async def timeline(intake: Intake, order_id: str) -> list[str]:
        ...     return [step.what for step in await read_history(intake.read, order_id)]
    """
    return [HistoryStep(**row) for row in await read(HISTORY, key, *id_range(key))]
