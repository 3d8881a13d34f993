"""Reads what all services' schemas tell of one key, for `orderflow trace`: from Postgres alone."""

import asyncio
import datetime as dt
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import asyncpg

from orderflow_cli.database import FAILURES
from orderflow_cli.errors import LaptopError
from orderflow_contracts.timestamps import read_time
from orderflow_model.postgres_uri import PostgresUri
from orderflow_runtime.postgres.connecting import connect
from orderflow_runtime.postgres.history import HistoryStep, read_history

_SCHEMAS = "SELECT schemaname FROM pg_tables WHERE tablename = 'journal' ORDER BY schemaname"
_HISTORY = 'SELECT state, history::text AS history FROM "order".orders WHERE order_id = $1'


class TraceError(LaptopError):
    """The database cannot be asked, or knows nothing of the key."""


@dataclass(frozen=True)
class Line:
    """One thing that happened; `service` is empty where no service's schema tells it."""

    at: dt.datetime
    service: str
    what: str
    type: str
    detail: str = ""


@dataclass(frozen=True)
class OrderHistory:
    """All that is known of a key: its state if it is an order's, ids of its recorded traces, the lines in order."""

    state: str | None
    traces: tuple[str, ...]
    lines: tuple[Line, ...]


def fetch_order_history(database: PostgresUri, key: str) -> OrderHistory:
    """Ask every schema; raise `TraceError`."""
    try:
        return asyncio.run(_fetch(database, key))
    except FAILURES as error:
        raise TraceError(f"the database cannot be asked: {error}", "Give an admin's URI with --database") from None


async def _fetch(database: PostgresUri, key: str) -> OrderHistory:
    connection = await connect(database)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            steps = {}
            for row in await connection.fetch(_SCHEMAS):
                await connection.execute("SELECT set_config('search_path', quote_ident($1), true)", row["schemaname"])
                steps[row["schemaname"]] = await read_history(connection.fetch, key)
            has_orders = await connection.fetchval("SELECT to_regclass('\"order\".orders') IS NOT NULL")
            order = await connection.fetchrow(_HISTORY, key) if has_orders else None
    finally:
        await connection.close()
    return _history(key, steps, order)


def _history(key: str, steps: dict[str, list[HistoryStep]], order: asyncpg.Record | None) -> OrderHistory:
    history = {} if order is None else _decisions(order["history"])
    published: dict[str | None, Line] = {}
    lines: list[Line] = []
    for service, told in steps.items():
        for step in told:
            if step.what == "TAKEN" and step.since is not None:
                published.setdefault(step.event_id, Line(step.since, "", "PUBLISHED", step.type))
                decided = history.pop((step.type, step.since), "") if service == "order" else ""
                lines.append(Line(step.at, service, "TAKEN", step.type, decided))
            else:
                lines.append(Line(step.at, service, step.what, step.type, _detail(step)))
    lines += published.values()
    lines += [Line(at, "order", "DECIDED", what, detail) for (what, at), detail in history.items()]
    if not lines:
        raise TraceError(f"nothing is known of {key}", "An id as POST /orders gave it, and not older than the inboxes")
    return OrderHistory(
        state=None if order is None else order["state"],
        traces=tuple(dict.fromkeys(_traces(steps.values()))),
        lines=tuple(sorted(lines, key=lambda line: line.at)),
    )


def _decisions(history: str) -> dict[tuple[str, dt.datetime], str]:
    """Return what the order service noted, by the event's type and time: the state after it, and its detail."""
    return {
        (entry["what"], read_time(entry["at"])): " ".join(
            ["→", entry["state"], *([f"({entry['detail']})"] if entry.get("detail") else ())]
        )
        for entry in json.loads(history)
    }


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
