"""An audit trail, of a flow's people or of its console: each entry holds the hash of the one before, so that a
change is found.

What the chain alone cannot tell is that its end was cut off, or that all of it was written anew by who may write the
table. The hash of the last entry, kept elsewhere (each report has it), tells that.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg

from orderflow_console.queries.database import quoted

Connection: TypeAlias = "asyncpg.Connection | asyncpg.pool.PoolConnectionProxy"
BEGIN = "0" * 64
"""What the first entry has for the hash of the one before."""
_COLUMNS = ("number", "at", "who", "what", "subject", "details", "previous")
PEOPLE = "privacy"
"""The schema of the trail of a flow's people."""
_ENTRIES = "SELECT number, at, who, what, subject, details, previous, hash FROM {}.audit ORDER BY number"
_LAST = "SELECT number, hash FROM {}.audit ORDER BY number DESC LIMIT 1"
_NOW = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
_APPEND = "INSERT INTO {}.audit VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"


@dataclass(frozen=True)
class Verdict:
    """How many entries there are, the hash of the last, and what is wrong, a line each."""

    entries: int
    head: str
    faults: Sequence[str]


async def append(
    connection: Connection, who: str, what: str, subject: str, details: Mapping[str, Any], schema: str = PEOPLE
) -> str:
    """Add an entry, in the caller's transaction, which has locked who else might; return its hash."""
    last = await connection.fetchrow(_LAST.format(quoted(schema)))
    number, previous = (last["number"] + 1, last["hash"]) if last else (1, BEGIN)
    at = await connection.fetchval(_NOW)
    entry = (number, at, who, what, subject, json.dumps(details, sort_keys=True), previous)
    found = _hash(dict(zip(_COLUMNS, entry, strict=True)))
    await connection.execute(_APPEND.format(quoted(schema)), *entry, found)
    return found


async def entries(connection: Connection, schema: str = PEOPLE) -> list[dict[str, Any]]:
    """Return the whole trail, the oldest first."""
    return [dict(row) for row in await connection.fetch(_ENTRIES.format(quoted(schema)))]


def verify(trail: Sequence[Mapping[str, Any]], known: str | None = None) -> Verdict:
    """Say whether the trail is whole; `known` is the hash of an entry that was noted elsewhere."""
    faults, previous = [], BEGIN
    for number, entry in enumerate(trail, 1):
        if entry["number"] != number:
            faults.append(f"entry {number} is missing: the next is {entry['number']}")
            break
        if entry["previous"] != previous:
            faults.append(f"entry {number} does not go on from the one before it")
        if entry["hash"] != _hash(entry):
            faults.append(f"entry {number} was changed")
        previous = entry["hash"]
    if known is not None and known not in {entry["hash"] for entry in trail}:
        faults.append(f"no entry has the hash {known}: the trail's end was cut off, or it was written anew")
    return Verdict(len(trail), trail[-1]["hash"] if trail else BEGIN, faults)


def _hash(entry: Mapping[str, Any]) -> str:
    told = json.dumps([entry[name] for name in _COLUMNS], ensure_ascii=True)
    return hashlib.sha256(told.encode()).hexdigest()
