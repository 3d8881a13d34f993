"""Erases a person from a flow's database, in one transaction: their key, and what services' own tables say of them.

Each service that keeps something of people has a function `erase_person(subject, record_keys, pseudonym, mask)` in its
schema, which returns how many rows it erased; one that keeps free text takes the person's texts too, as a fifth. The
transaction holds up all that handle personal events, so that nothing of the person is written by a key that is gone;
killed anywhere, it has happened or it has not.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import asyncpg

from orderflow_cli.errors import LaptopError
from orderflow_console.actions import audit
from orderflow_contracts.flow_key import FlowKey, PersonKey, SealBrokenError
from orderflow_contracts.sealed import MASK

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('orderflow privacy'))"
_FIND = "SELECT person, wrapped FROM privacy.keys WHERE subject = $1"
_RECORDS = "SELECT record_key FROM privacy.records WHERE person = $1 ORDER BY record_key"
_WAITING = """
SELECT key FROM "{0}".calls WHERE key = ANY($1) UNION SELECT key FROM "{0}".timers WHERE key = ANY($1)
UNION SELECT key FROM "{0}".parked WHERE key = ANY($1) AND type LIKE 'call/%'
"""
_OPEN = 'SELECT id AS key FROM "{0}".saga_open WHERE id = ANY($1)'
_ERASE = 'SELECT "{0}".erase_person($1, $2, $3, $4)'
_ERASE_TEXTS = 'SELECT "{0}".erase_person($1, $2, $3, $4, $5)'
_HAS_ERASE = """
SELECT to_regprocedure(format('%I.erase_person(text, text[], text, text)', $1::text)) IS NOT NULL AS plain,
  to_regprocedure(format('%I.erase_person(text, text[], text, text, text[])', $1::text)) IS NOT NULL AS texts
"""
_HAS = "SELECT to_regclass(format('%I.%I', $1::text, $2::text)) IS NOT NULL"
_TRIES = 5


class InFlightError(LaptopError):
    """Runs of the person are under way: what is erased now would be missed by them."""


class NoPrivacyError(LaptopError):
    """The flow keeps no keys of people, or its secret is not that of them."""


@dataclass(frozen=True)
class Person:
    """What the flow knows a person by; without a key they were erased, or nothing of them was ever sealed."""

    subject: str
    hash: bytes
    key: PersonKey | None
    record_keys: Sequence[str]

    @property
    def pseudonym(self) -> str:
        """What stands where their id stood."""
        return str(self.key.person) if self.key else str(uuid.UUID(int=0))


@dataclass
class Erased:
    """What was erased: rows by schema, and the hash of the audit trail's entry, empty where all was kept."""

    rows: dict[str, int] = field(default_factory=dict)
    keys: int = 0
    audit_head: str = ""


@dataclass(frozen=True)
class Asked:
    """Who is to be erased: their id, all texts that are known of them, and by whom.

    Where: `schemas`; those of `services` may have runs of the person under way.
    """

    subject: str
    texts: Sequence[str]
    services: Sequence[str]
    schemas: Sequence[str]
    who: str


async def find_person(connection: asyncpg.Connection, flow_key: FlowKey, subject: str) -> Person:
    """Return what is known of a person; raise `NoPrivacyError`."""
    if not await connection.fetchval(_HAS, "privacy", "keys"):
        raise NoPrivacyError("the flow's database keeps no keys of people", "Say spec.privacy in the resource")
    found = flow_key.subject_hash(subject)
    row = await connection.fetchrow(_FIND, found)
    if row is None:
        return Person(subject, found, None, ())
    try:
        key = flow_key.unwrap(uuid.UUID(int=row["person"].int), row["wrapped"])
    except SealBrokenError:
        raise NoPrivacyError("the flow's secret does not open its keys", "Give the secret of spec.privacy") from None
    records = await connection.fetch(_RECORDS, key.person)
    return Person(subject, found, key, [one["record_key"] for one in records])


async def erase(connection: asyncpg.Connection, flow_key: FlowKey, asked: Asked, *, keep: bool) -> Erased:
    """Erase a person in a transaction, which is undone where all is to be kept; raise `InFlightError`."""
    for _ in range(_TRIES - 1):
        try:
            return await _erase(connection, flow_key, asked, keep)
        except asyncpg.DeadlockDetectedError:  # with a batch that held rows before it asked for keys
            continue
    return await _erase(connection, flow_key, asked, keep)


async def _erase(connection: asyncpg.Connection, flow_key: FlowKey, asked: Asked, keep: bool) -> Erased:
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(_LOCK)
        person = await find_person(connection, flow_key, asked.subject)
        await _refuse_in_flight(connection, person, asked.services)
        erased = Erased(await _erase_rows(connection, person, asked))
        if person.key is not None:
            await connection.execute("DELETE FROM privacy.records WHERE person = $1", person.key.person)
            await connection.execute("DELETE FROM privacy.keys WHERE person = $1", person.key.person)
            erased.keys = 1
        told = {"rows": erased.rows, "keys": erased.keys, "records": len(person.record_keys)}
        erased.audit_head = await audit.append(connection, asked.who, "ERASED", person.hash.hex(), told)
    except BaseException:
        await transaction.rollback()
        raise
    if keep:
        await transaction.rollback()
        return replace(erased, audit_head="")
    await transaction.commit()
    return erased


async def _refuse_in_flight(connection: asyncpg.Connection, person: Person, schemas: Sequence[str]) -> None:
    found: set[str] = set()
    for schema in schemas:
        queries = [_WAITING] if await connection.fetchval(_HAS, schema, "calls") else []
        queries += [_OPEN] if await connection.fetchval(_HAS, schema, "saga_open") else []
        for query in queries:
            found |= {row["key"] for row in await connection.fetch(query.format(schema), list(person.record_keys))}
    if found:
        shown = ", ".join(sorted(found)[:5])
        raise InFlightError(
            f"{len(found)} runs of this person are under way ({shown}): what they still need would be gone",
            "Cancel them or wait for their end, then erase again",
        )


async def _erase_rows(connection: asyncpg.Connection, person: Person, asked: Asked) -> dict[str, int]:
    rows = {}
    given = (person.subject, list(person.record_keys), person.pseudonym, MASK)
    for schema in asked.schemas:
        has = await connection.fetchrow(_HAS_ERASE, schema)
        if has["texts"]:
            rows[schema] = int(await connection.fetchval(_ERASE_TEXTS.format(schema), *given, list(asked.texts)))
        elif has["plain"]:
            rows[schema] = int(await connection.fetchval(_ERASE.format(schema), *given))
    return rows
