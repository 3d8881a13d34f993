"""What one service's bookkeeping tells of one key, from events taken in to calls and dead letters.

The order service answers `GET /orders/{id}/timeline` by it, `orderflow trace` asks every service's schema.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orderflow_runtime.event_ids import id_range

STORY = """
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
class Step:
    """One thing that happened, by the database's clock; `what` is TAKEN, WAITING (now), or as in `journal`.

    `type` is an event's, timer/NAME or call/KIND. `since` is the event's own time, or that of the wait or call.
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


async def read_story(read: Read, key: str) -> list[Step]:
    """Give the steps in order of time; `read` queries the service's schema.

    Events of other producers, whose ids are their own, are told only where they failed.
    """
    return [Step(**row) for row in await read(STORY, key, *id_range(key))]
