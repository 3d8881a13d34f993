"""The bookkeeping's SQL, for `postgres_store.py` and `transaction.py`: one statement for a whole batch, over arrays."""

import uuid
from collections.abc import Mapping
from typing import Any

from orderflow_runtime.core.event_log import Mark, Partition, Position, unpack_headers
from orderflow_runtime.core.store import (
    MOST_BEHIND,
    BatchClaim,
    CallRow,
    DeadLetter,
    JournalRow,
    ParkedRow,
    TimerRow,
    TimerWrite,
)
from orderflow_runtime.core.work_item import InboxRow
from orderflow_runtime.tracing.trace_context import read_trace

_OWNED = "JOIN unnest($1::text[], $2::int[]) AS owned (topic, partition) USING (topic, partition)"
_HEAD = "NOT EXISTS (SELECT 1 FROM parked AS earlier WHERE earlier.key = p.key AND earlier.id < p.id)"

ACQUIRE = """
INSERT INTO offsets AS o (topic, partition, epoch, owner) VALUES ($1, $2, 1, $3)
ON CONFLICT (topic, partition) DO UPDATE SET epoch = o.epoch + 1, owner = excluded.owner
RETURNING epoch, next_offset, topic_id, last_offset, last_checksum
"""

RELEASE = """
WITH gone AS (DELETE FROM outbox WHERE id = ANY($4::bigint[]))
UPDATE offsets AS o SET owner = NULL
FROM unnest($1::text[], $2::int[], $3::bigint[]) AS l (topic, partition, epoch)
WHERE o.topic = l.topic AND o.partition = l.partition AND o.epoch = l.epoch
"""

BACKLOG = f"""
WITH gone AS (DELETE FROM outbox WHERE id = ANY($4::bigint[]))
SELECT id, messages, topic, partition FROM outbox {_OWNED}
WHERE intake = $3 AND NOT id = ANY($4::bigint[]) AND NOT id = ANY($5::bigint[]) ORDER BY id LIMIT 200
"""  # noqa: S608 - only constants are put in

PENDING_CALLS = f"""
SELECT id, topic, partition, kind, key, request, attempts, trace FROM calls {_OWNED} ORDER BY created_at
"""  # noqa: S608 - only constants are put in

NEXT_DUE = f"""
SELECT extract(epoch FROM least(
  (SELECT min(due_at) FROM parked AS p {_OWNED} WHERE {_HEAD}),
  (SELECT t.due_at FROM timers AS t {_OWNED} ORDER BY t.due_at LIMIT 1)
) - clock_timestamp()) AS next_in
"""  # noqa: S608 - only constants are put in

DUE_PARKED = f"""
SELECT p.id, p.topic, p.partition, p.record_offset, p.key, p.type, p.headers, p.value, p.attempts
FROM parked AS p {_OWNED} WHERE p.due_at <= clock_timestamp() AND {_HEAD} ORDER BY p.due_at LIMIT $3
"""  # noqa: S608 - only constants are put in

DUE_TIMERS = f"""
SELECT t.topic, t.partition, t.name, t.key, t.payload, t.trace
FROM timers AS t {_OWNED} WHERE t.due_at <= clock_timestamp() ORDER BY t.due_at LIMIT $3
"""  # noqa: S608 - only constants are put in

NEGLECTED = """
SELECT DISTINCT topic, partition FROM (
  SELECT topic, partition, created_at AS since FROM outbox
  UNION ALL SELECT topic, partition, due_at FROM parked
  UNION ALL SELECT topic, partition, due_at FROM timers
  UNION ALL SELECT topic, partition, created_at FROM calls
) AS waiting
WHERE NOT topic = ANY($1::text[]) AND since < clock_timestamp() - interval '1 minute'
"""

NOTE_ATTEMPT = """
WITH noted AS (UPDATE calls SET attempts = attempts + 1, reason = $2 WHERE id = $1 RETURNING *)
INSERT INTO journal (key, what, type, event_id, attempt, reason, since)
SELECT key, 'UNKNOWN', 'call/' || kind, id, attempts, reason, created_at FROM noted
"""

# rows of source 0 were taken in before sources were kept
_TAKE_IN = """
INSERT INTO inbox (id, source, type, time, trace)
SELECT * FROM unnest({}) AS t (id, source, type, time, trace)
WHERE NOT EXISTS (SELECT 1 FROM inbox AS i WHERE i.id = t.id AND i.source = 0)
ON CONFLICT DO NOTHING RETURNING id, source
"""

_CLAIM = f"""
WITH gone AS (
  DELETE FROM outbox WHERE id = ANY($1::bigint[])
), leased AS (
  UPDATE offsets AS o SET next_offset = l.next_offset, topic_id = l.topic_id,
    last_offset = l.last_offset, last_checksum = l.last_checksum
  FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $12::uuid[], $13::bigint[], $14::bigint[])
    AS l (topic, partition, epoch, next_offset, topic_id, last_offset, last_checksum)
  WHERE o.topic = l.topic AND o.partition = l.partition AND o.epoch = l.epoch
  RETURNING 1
), fresh AS ({_TAKE_IN.format("$7::uuid[], $8::bigint[], $9::text[], $10::timestamptz[], $11::bytea[]")})
"""  # noqa: S608 - only constants are put in

OPEN = f"""{_CLAIM}
SELECT (SELECT count(*) FROM leased) AS leased, ids, sources,
       (SELECT array_agg(DISTINCT key) FROM parked WHERE key = ANY($6::text[])) AS held
FROM (SELECT array_agg(id) AS ids, array_agg(source) AS sources FROM fresh) AS fresh
"""  # noqa: S608 - only constants are put in

SEEN = """
SELECT (SELECT array_agg(DISTINCT key) FROM parked WHERE key = ANY($1::text[])) AS held,
       (SELECT array_agg(id) FROM dead_letters
        WHERE id = ANY($4::uuid[]) AND state = 'Dead' AND redrives < $5) AS letters,
       array_agg(t.id) AS ids, array_agg(t.source) AS sources
FROM unnest($2::uuid[], $3::bigint[]) AS t (id, source)
WHERE EXISTS (SELECT 1 FROM inbox AS i WHERE i.id = t.id AND i.source IN (t.source, 0))
"""

NOT_AS_EXPECTED = "OF001"
"""A SQLSTATE of our own: Postgres leaves classes that begin with a letter from I on to others."""
_REFUSE = f"SELECT raise_error('{NOT_AS_EXPECTED}', 'the batch is not wholly ours and new: it will ask which of it is')"

EXPECT = f"""{_CLAIM} {_REFUSE}
WHERE (SELECT count(*) FROM leased) <> cardinality($2) OR (SELECT count(*) FROM fresh) <> cardinality($7)
  OR EXISTS (SELECT FROM parked WHERE key = ANY($6::text[]))
"""  # noqa: S608 - only constants are put in

TAKE_IN = _TAKE_IN.format("$1::uuid[], $2::bigint[], $3::text[], $4::timestamptz[], $5::bytea[]")

_TAKE_TIMERS = """
WITH fired AS (
  DELETE FROM timers AS t USING unnest($1::text[], $2::text[]) AS c (key, name)
  WHERE t.key = c.key AND t.name = c.name AND t.due_at <= clock_timestamp() RETURNING t.key, t.name
), told AS (
  INSERT INTO journal (key, what, type) SELECT key, 'FIRED', 'timer/' || name FROM fired
)
"""
CLAIM_TIMERS = f"{_TAKE_TIMERS} SELECT key, name FROM fired"  # noqa: S608 - only constants are put in
EXPECT_TIMERS = f"{_TAKE_TIMERS} {_REFUSE} FROM fired HAVING count(*) <> cardinality($1)"

_TAKE_CALLS = """
WITH answered AS (
  DELETE FROM calls WHERE id = ANY($1::text[]) RETURNING id, key, kind, attempts, created_at
), told AS (
  INSERT INTO journal (key, what, type, event_id, attempt, since)
  SELECT key, 'ANSWERED', 'call/' || kind, id, attempts + 1, created_at FROM answered
)
"""
CLAIM_CALLS = f"{_TAKE_CALLS} SELECT id FROM answered"  # noqa: S608 - only constants are put in
EXPECT_CALLS = f"{_TAKE_CALLS} {_REFUSE} FROM answered HAVING count(*) <> cardinality($1)"

CLAIM_REDRIVES = """
UPDATE dead_letters SET state = 'Redriven', redrives = redrives + 1
WHERE id = ANY($1::uuid[]) AND state = 'Dead' AND redrives < $2 RETURNING id, event_id
"""

OUTBOX = """
INSERT INTO outbox (topic, partition, intake, messages)
SELECT o.topic, o.partition, false, o.messages
FROM unnest($1::text[], $2::int[], $3::bytea[]) AS o (topic, partition, messages)
RETURNING id, NULL::bigint[] AS behind
"""

INTAKE_OUTBOX = f"""
WITH before AS (
  SELECT s.topic, s.partition, array(
    SELECT o.id FROM outbox AS o WHERE o.topic = s.topic AND o.partition = s.partition AND o.intake
    ORDER BY o.id DESC LIMIT {MOST_BEHIND + 1}
  ) AS ids
  FROM unnest($1::text[], $2::int[]) AS s (topic, partition)
)
INSERT INTO outbox AS new (topic, partition, intake, messages)
SELECT o.topic, o.partition, true, o.messages
FROM unnest($1::text[], $2::int[], $3::bytea[]) AS o (topic, partition, messages)
RETURNING id, (SELECT ids FROM before WHERE before.topic = new.topic AND before.partition = new.partition) AS behind
"""  # noqa: S608 - only constants are put in

SET_TIMERS = """
INSERT INTO timers (key, name, topic, partition, due_at, payload, trace)
SELECT key, name, topic, partition, clock_timestamp() + after, payload, trace
FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::interval[], $6::bytea[], $7::text[])
  AS t (key, name, topic, partition, after, payload, trace) ORDER BY key, name
ON CONFLICT (key, name) DO UPDATE SET due_at = excluded.due_at, payload = excluded.payload,
  topic = excluded.topic, partition = excluded.partition, trace = excluded.trace
"""

CANCEL_TIMERS = """
DELETE FROM timers AS t USING unnest($1::text[], $2::text[]) AS c (key, name)
WHERE t.key = c.key AND t.name = c.name
"""

CALLS = """
INSERT INTO calls (id, kind, key, topic, partition, request, trace)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::bytea[], $7::text[])
ON CONFLICT (id) DO NOTHING
"""

PARK = """
INSERT INTO parked (topic, partition, record_offset, key, type, headers, value, attempts, reason, due_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp() + $10::interval)
"""

PARK_AGAIN = "UPDATE parked SET attempts = $2, reason = $3, due_at = clock_timestamp() + $4::interval WHERE id = $1"

UNPARK = "DELETE FROM parked WHERE id = ANY($1::bigint[])"

DEAD_LETTER = """
INSERT INTO dead_letters (id, topic, partition, record_offset, key, type, event_id, attempts, reason, trace)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (id) DO UPDATE SET state = 'Dead', attempts = excluded.attempts, reason = excluded.reason, died_at = now()
"""

JOURNAL = """
INSERT INTO journal (key, what, type, event_id, attempt, reason, due_at)
SELECT key, what, type, event_id, attempt, reason, clock_timestamp() + due
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::interval[])
  AS j (key, what, type, event_id, attempt, reason, due)
"""

HELD_LOCKS = """
SELECT objid::int AS number FROM pg_locks
WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted AND objsubid = 2
  AND classid = (hashtext('shards/' || $1)::bigint & 4294967295)::oid
"""

TRY_LOCKS = """
SELECT pg_try_advisory_lock(hashtext('shards/' || $1), number) FROM unnest($2::int[]) AS number
WHERE NOT EXISTS (
  SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND objsubid = 2
    AND classid = (hashtext('shards/' || $1)::bigint & 4294967295)::oid AND objid = number::oid
)
"""


def position(row: Mapping[str, Any]) -> Position:
    """Read the position in a row of ACQUIRE; asyncpg has a class of its own for UUIDs, which others do not encode."""
    topic_id, last = row["topic_id"], row["last_offset"]
    return Position(
        row["next_offset"],
        None if topic_id is None else uuid.UUID(int=topic_id.int),
        None if last is None else Mark(last, row["last_checksum"]),
    )


def claim_values(claim: BatchClaim) -> tuple[object, ...]:
    """Return the arguments of OPEN and EXPECT."""
    positions = [position for _, position in claim.leases.values()]
    return (
        list(claim.published),
        [partition.topic for partition in claim.leases],
        [partition.number for partition in claim.leases],
        [epoch for epoch, _ in claim.leases.values()],
        [position.offset for position in positions],
        list(claim.keys),
        *(zip(*claim.inbox, strict=True) if claim.inbox else ((),) * len(InboxRow._fields)),
        *zip(*map(position_values, positions), strict=True),
    )


def position_values(position: Position) -> tuple[object, ...]:
    """Return the columns of a position in a claim, but for the offset."""
    return position.topic_id, *(position.last or (None, None))


def call_row(row: Mapping[str, Any]) -> CallRow:
    """Read a row of PENDING_CALLS."""
    shard = Partition(row["topic"], row["partition"])
    return CallRow(row["id"], shard, row["kind"], row["key"], row["request"], row["attempts"], read_trace(row["trace"]))


def call_values(call: CallRow) -> tuple[object, ...]:
    """Return the columns of CALLS."""
    return call.id, call.kind, call.key, call.shard.topic, call.shard.number, call.request, call.trace.text()


def timer_values(timer: TimerWrite) -> tuple[object, ...]:
    """Return the columns of SET_TIMERS."""
    return timer.key, timer.name, *timer.shard, timer.after, timer.payload, timer.trace.text()


def letter_values(letter: DeadLetter) -> tuple[object, ...]:
    """Return the columns of DEAD_LETTER."""
    at = (letter.id, letter.shard.topic, letter.shard.number, letter.offset, letter.key)
    return (*at, letter.type, letter.event_id, letter.attempts, letter.reason, letter.trace.text())


def journal_values(row: JournalRow) -> tuple[object, ...]:
    """Return the columns of JOURNAL."""
    return row.key, row.what, row.type, row.event_id, row.attempt, row.reason, row.due


def parked_row(row: Mapping[str, Any]) -> ParkedRow:
    """Read a row of DUE_PARKED."""
    return ParkedRow(
        id=row["id"],
        shard=Partition(row["topic"], row["partition"]),
        offset=row["record_offset"],
        key=row["key"],
        type=row["type"],
        headers=unpack_headers(row["headers"]),
        value=row["value"],
        attempts=row["attempts"],
    )


def timer_row(row: Mapping[str, Any]) -> TimerRow:
    """Read a row of DUE_TIMERS."""
    shard = Partition(row["topic"], row["partition"])
    return TimerRow(shard, row["name"], row["key"], row["payload"], read_trace(row["trace"]))
