"""Looks for a person wherever a flow keeps anything: every table of every schema, each record of its topics (`lake`).

What is looked for is texts: the person's id, and all that their key opens anywhere while it is there. A text may
be another's too, as the name of a town is. So what stands in a row that has one of the person's ids is theirs (`own`);
anything else that is found is told beside it, for a person to judge.
"""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import asyncpg
from confluent_kafka import OFFSET_BEGINNING, Message, TopicPartition

from orderflow_console.queries.database import quoted
from orderflow_console.queries.errors import ReadError
from orderflow_console.queries.kafka import TIMEOUT_SECONDS, Options, bytes_of, reading, until_end
from orderflow_contracts.flow_key import FlowKey, PersonKey, SealBrokenError
from orderflow_contracts.sealed import Sealed, people_in, replaced

_SHORTEST = 3
"""Letters of a text that can be looked for: of shorter ones everything is full."""
SUBJECT = "the person's id"
_BEFORE, _AFTER = r"(?<![A-Za-z0-9_])(?<![A-Za-z0-9_][.-])", r"(?![A-Za-z0-9_]|[.-][A-Za-z0-9_])"
"""What a text that stands by itself is not next to: a letter, be it behind a dot or dash. Postgres reads both, too."""
_TABLES = """
SELECT n.nspname AS schema, c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns,
  array_agg(a.atttypid::regtype::text ORDER BY a.attnum) AS types
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE n.nspname = ANY($1::text[]) AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
GROUP BY 1, 2 ORDER BY 1, 2
"""
_LINES = """
WITH line AS (SELECT {said} AS said FROM {whole})
SELECT n.place, EXISTS (SELECT FROM unnest($2::text[]) AS i WHERE strpos(said, i) > 0) AS own, count(*) AS rows
FROM line JOIN unnest($1::text[]) WITH ORDINALITY AS n (pattern, place) ON said ~ n.pattern GROUP BY 1, 2
"""
_WORDS = """
WITH asked AS MATERIALIZED (
  SELECT DISTINCT n.place, phraseto_tsquery(c.oid::regconfig, n.text) AS asked
  FROM unnest($1::text[]) WITH ORDINALITY AS n (text, place), pg_ts_config AS c
), line AS (
  SELECT DISTINCT t.ctid, a.place, {said} AS said FROM {whole} AS t JOIN asked AS a ON t.{words} @@ a.asked
)
SELECT place, EXISTS (SELECT FROM unnest($2::text[]) AS i WHERE strpos(said, i) > 0) AS own, count(*) AS rows
FROM line GROUP BY 1, 2
"""
"""Words were reduced by the rules of some language, which no table says: a text is asked for by those of each."""
_DATA = ("data", "value")
"""Columns that hold an event's data beside its `type`."""


@dataclass(frozen=True)
class Wanted:
    """What to look for: the person's id in events, texts of theirs by what they are (text → `/customer/email`), and the
    ids by which a row is known as theirs. A text counts where it stands by itself, not as a part of a longer word.
    """

    subject: str
    texts: Mapping[str, str]
    ids: Sequence[str]

    @cached_property
    def forms(self) -> Mapping[str, str]:
        """The texts as they are and in both ways in which JSON writes them, with what each is."""
        all_texts = {**self.texts, self.subject: SUBJECT}
        return {
            form: what
            for text, what in all_texts.items()
            for form in (text, *(json.dumps(text, ensure_ascii=escaped)[1:-1] for escaped in (False, True)))
        }

    @cached_property
    def pattern(self) -> re.Pattern[bytes]:
        """What finds any of them."""
        longest_first = sorted((form.encode() for form in self.forms), key=len, reverse=True)
        any_of_them = b"|".join(map(re.escape, longest_first))
        return re.compile(_BEFORE.encode() + b"(?:" + any_of_them + b")" + _AFTER.encode())


@dataclass
class Place:
    """What was found in one place: how much was read, what of it is sealed by the person's key, and texts by what."""

    name: str
    read: int = 0
    sealed: int = 0
    own: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    unread: list[str] = field(default_factory=list)
    """What of it could not be looked into."""

    def look(self, data: bytes, wanted: Wanted, person: PersonKey | None) -> None:
        """Look into one row, record or line; `person` is whose key may have sealed some of it."""
        self.read += 1
        self.sealed += person is not None and person.person in people_in(data)
        self.count(data, wanted)

    def count(self, data: bytes, wanted: Wanted) -> None:
        """Count what of a person stands in some data."""
        found = {wanted.forms[one.decode()] for one in wanted.pattern.findall(data)}
        is_own = found and any(one.encode() in data for one in wanted.ids)
        for what in found:
            (self.own if is_own or what == SUBJECT else self.others)[what] += 1

    def plain(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"place": self.name, "read": self.read, "sealed": self.sealed} | {
            "own": dict(self.own),
            "others": dict(self.others),
        }


def _in_bytea(text: str) -> str:
    """Return a text as Postgres writes bytes in its form `escape`."""
    return "".join(f"\\{byte:03o}" if byte > 126 else chr(byte).replace("\\", "\\\\") for byte in text.encode())


async def search_tables(
    connection: asyncpg.Connection, schemas: Sequence[str], wanted: Wanted, person: PersonKey | None
) -> list[Place]:
    """Look into each row of each table; into bytes as such, and into the words of a full-text index."""
    tables = await connection.fetch(_TABLES, list(schemas))
    return [await _search_table(connection, row, wanted, person) for row in tables]


async def _search_table(
    connection: asyncpg.Connection, table: Mapping[str, Any], wanted: Wanted, person: PersonKey | None
) -> Place:
    whole = _whole(table)
    said = f"concat_ws(E'\\n', {', '.join(map(_as_text, table['columns'], table['types']))})"
    place = Place(f"table {table['schema']}.{table['name']}")
    sealed = f"SELECT count(*), count(*) FILTER (WHERE strpos({said}, $1) > 0) FROM {whole}"  # noqa: S608 - as below
    place.read, place.sealed = await connection.fetchrow(sealed, person.person.hex if person else "none")
    forms = {form: what for text, what in wanted.forms.items() for form in (text, _in_bytea(text))}
    patterns = [f"{_BEFORE}{re.escape(form)}{_AFTER}" for form in forms]
    whats = list(forms.values())
    found = [(row, whats) for row in await connection.fetch(_found(_LINES, said, whole), patterns, list(wanted.ids))]
    texts = {**wanted.texts, wanted.subject: SUBJECT}
    for column, of_type in zip(table["columns"], table["types"], strict=True):
        if of_type == "tsvector":
            query = _found(_WORDS.replace("{words}", quoted(column)), said, whole)
            rows = await connection.fetch(query, list(texts), list(wanted.ids))
            found += [(row, list(texts.values())) for row in rows]
    for row, meant in found:
        what = meant[row["place"] - 1]
        (place.own if row["own"] or what == SUBJECT else place.others)[what] += row["rows"]
    return place


def _found(query: str, said: str, whole: str) -> str:
    """Return a query of a table for which texts stand in it, by their places, and whether in rows of the person."""
    return query.replace("{said}", said).replace("{whole}", whole)


async def stored_events(
    connection: asyncpg.Connection, schemas: Sequence[str], key: PersonKey
) -> AsyncIterator[tuple[str, bytes]]:
    """Yield event and data of what tables keep of events, of those that the key has sealed something in."""
    for table in await connection.fetch(_TABLES, list(schemas)):
        kept = dict(zip(table["columns"], table["types"], strict=True))
        columns = [name for name, of_type in kept.items() if of_type == "bytea" and name in _DATA]
        for column in columns if kept.get("type") == "text" else ():
            query = f"SELECT type, {quoted(column)} AS data FROM {_whole(table)} WHERE position($1::bytea IN {quoted(column)}) > 0"  # noqa: S608, E501 - as below
            for row in await connection.fetch(query, key.person.hex.encode()):
                yield row["type"], row["data"]


def _whole(table: Mapping[str, Any]) -> str:
    """Return a table's name, of the catalogue, as a query has it."""
    return f"{quoted(table['schema'])}.{quoted(table['name'])}"


def _as_text(column: str, of_type: str) -> str:
    return f"encode({quoted(column)}, 'escape')" if of_type == "bytea" else f"{quoted(column)}::text"


class Record(NamedTuple):
    """A record of a topic: what it carries, its data, and key, headers and data as one text."""

    topic: str
    event: str
    data: bytes
    text: bytes


def search_topics(options: Options, topics: Sequence[str], wanted: Wanted, person: PersonKey | None) -> list[Place]:
    """Look into each record that the topics have now; raise `ReadError`."""
    places = {topic: Place(f"topic {topic}") for topic in topics}
    for record in read_topics(options, topics):
        places[record.topic].look(record.text, wanted, person)
    return list(places.values())


def read_topics(options: Options, topics: Sequence[str]) -> Iterator[Record]:
    """Yield what the topics have now, in no order of topics; raise `ReadError`."""
    at_once = {**options, "fetch.wait.max.ms": 10}  # the end of an empty topic is told no sooner than that
    with reading(at_once, ", ".join(topics)) as consumer:
        found = consumer.list_topics(timeout=TIMEOUT_SECONDS).topics
        if missing := [topic for topic in topics if topic not in found]:
            raise ReadError(f"Kafka has no topic {', '.join(missing)}", "Is this the flow's Kafka?")
        places = sorted((topic, number) for topic in topics for number in found[topic].partitions)
        yield from map(_record, until_end(consumer, [TopicPartition(*place, OFFSET_BEGINNING) for place in places]))


def _record(message: Message) -> Record:
    # the client's stubs allow forms of headers, keys and values that it never gives for records that were read
    headers: Any = message.headers() or ()
    parts: list[Any] = [message.value(), message.key(), *(value for _, value in headers)]
    data, *others = [bytes_of(part) or b"" for part in parts]
    event = (dict(headers).get("ce_type") or b"").decode(errors="replace")
    return Record(message.topic() or "", event, data, b"\n".join([data, *others]))


def opened_texts(event: str, data: bytes, flow_key: FlowKey, key: PersonKey) -> dict[str, str]:
    """Return what a person's key opens in an event's data: text → where it stands there; no text that is too short."""
    if key.person not in people_in(data):
        return {}
    found: dict[str, str] = {}

    def note(sealed: Sealed, path: str) -> Any:
        if sealed.person == key.person:
            with suppress(SealBrokenError):  # moved there by somebody else; what it holds stands where it was sealed
                value = json.loads(flow_key.open(key, sealed.content, event, path))
                if not isinstance(value, bool):  # every table is full of these
                    found[str(value)] = path
        return None

    replaced(data, note)
    return {text: what for text, what in found.items() if len(text) >= _SHORTEST}
