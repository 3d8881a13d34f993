"""All that happened to one key, in every service, as their schemas tell it: from Postgres alone."""

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from orderflow_console.queries.database import Connection, Database, quoted, saga_schema, service_schemas, snapshot
from orderflow_console.queries.errors import ReadError, UnknownError
from orderflow_contracts.timestamps import read_time
from orderflow_runtime.postgres.history import HistoryStep, read_history

MOST_STEPS = 20_000
"""Of one key in one service: what has more is told as far as this."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened; `service` is empty where no service's schema tells it.

    `what`: PUBLISHED, TAKEN in, DECIDED by the service that tells of the saga, or what `HistoryStep` has besides:
    FAILED, WAITS, HANDLED (after all), DEAD, DROPPED, REDRIVEN, FIRED, UNKNOWN, ANSWERED, and WAITING now.
    """

    at: dt.datetime
    service: str
    what: str
    type: str
    detail: str = ""


@dataclass(frozen=True)
class Timeline:
    """Some steps of a key in order of time, behind `start` of `total`; its state if it is a run's, ids of its traces.

    `begun_at` is the time of the first step of all.
    `whole` is False where a service has more steps than are read.
    """

    key: str
    state: str | None
    begun_at: dt.datetime
    traces: tuple[str, ...]
    steps: tuple[Step, ...]
    start: int
    total: int
    whole: bool


async def get_timeline(database: Database, key: str, start: int = 0, limit: int | None = None) -> Timeline:
    """Return the steps of a key from number `start`, all without a limit; raise `UnknownError` or `ReadError`."""
    async with snapshot(database) as connection:
        saga = await saga_schema(connection)
        told = {schema: await _read(connection, schema, key) for schema in await service_schemas(connection)}
        query = f"SELECT state, history::text AS history FROM {quoted(saga or '')}.saga_instances WHERE id = $1"  # noqa: S608 - fixed names
        run = await connection.fetchrow(query, key) if saga else None
    steps = sorted(_steps(told, saga, run), key=lambda step: step.at)
    if not steps:
        raise UnknownError(
            f"nothing is known of {key}", "An id as POST /orders gave it, and not older than the inboxes"
        )
    return Timeline(
        key=key,
        state=None if run is None else run["state"],
        begun_at=steps[0].at,
        traces=tuple(dict.fromkeys(_traces(told.values()))),
        steps=tuple(steps[start:] if limit is None else steps[start : start + limit]),
        start=start,
        total=len(steps),
        whole=all(len(found) < MOST_STEPS for found in told.values()),
    )


async def _read(connection: Connection, schema: str, key: str) -> list[HistoryStep]:
    """Return what one service's bookkeeping tells of a key."""
    await connection.execute("SELECT set_config('search_path', quote_ident($1), true)", schema)

    async def bounded(query: str, *values: Any) -> Sequence[Any]:
        rows: list[Any] = await connection.fetch(f"{query} LIMIT {MOST_STEPS}", *values)
        return rows

    return await read_history(bounded, key)


def _steps(told: dict[str, list[HistoryStep]], saga: str | None, run: Any) -> Iterator[Step]:
    decisions = {} if run is None else _decisions(run["history"])
    published: dict[str | None, Step] = {}
    for service, found in told.items():
        for step in found:
            if step.what == "TAKEN" and step.since is not None:
                published.setdefault(step.event_id, Step(step.since, "", "PUBLISHED", step.type))
                decided = decisions.pop((step.type, step.since), "") if service == saga else ""
                yield Step(step.at, service, "TAKEN", step.type, decided)
            else:
                yield Step(step.at, service, step.what, step.type, _detail(step))
    yield from published.values()
    yield from (Step(at, saga or "", "DECIDED", what, detail) for (what, at), detail in decisions.items())


def _decisions(history: str) -> dict[tuple[str, dt.datetime], str]:
    """Return what the saga's service noted, by the event's type and time: the state after it, and its detail."""
    try:
        return {
            (entry["what"], read_time(entry["at"])): " ".join(
                ["→", entry["state"], *([f"({entry['detail']})"] if entry.get("detail") else ())]
            )
            for entry in json.loads(history)
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReadError(
            f"saga_instances.history is not as it should be: {error!r}",
            "See docs/services.md: [{at, what, state, detail}]",
        ) from None


def _traces(told: Iterable[Sequence[HistoryStep]]) -> Iterator[str]:
    taken = [step for steps in told for step in steps if step.trace is not None]
    yield from (step.trace for step in sorted(taken, key=lambda step: step.at) if step.trace)


def _detail(step: HistoryStep) -> str:
    words = []
    if step.attempt:
        words.append(f"attempt {step.attempt}")
    if step.since is not None:
        words.append(f"after {(step.at - step.since).total_seconds():.3f} s")
    if step.reason:
        words.append(step.reason)
    if step.due_at is not None:
        words.append(f"due {step.due_at.isoformat(' ', 'milliseconds')}")
    return ", ".join(words)
