"""Looks for a person wherever a flow keeps anything: every table of every schema, topic and file of the lake.

What is looked for is texts: the person's id, and all that their key opens in the topics while it is there. A text may
be another's too, as the name of a town is. So what stands in a row that has one of the person's ids is theirs (`own`);
anything else that is found is told beside it, for a person to judge.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
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

    def count(self, data: bytes, wanted: Wanted) -> None:
        """Look into one row, record or line."""
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


async def search_tables(connection: asyncpg.Connection, schemas: Sequence[str], wanted: Wanted) -> list[Place]:
    """Look into each row of each table; what is stored as bytes is looked into as such."""
    return [await _search_table(connection, row, wanted) for row in await connection.fetch(_TABLES, list(schemas))]


async def _search_table(connection: asyncpg.Connection, table: Mapping[str, Any], wanted: Wanted) -> Place:
    forms = {form: what for text, what in wanted.forms.items() for form in (text, _in_bytea(text))}
    patterns = [f"{_BEFORE}{re.escape(form)}{_AFTER}" for form in forms]
    whole = f"{quoted(table['schema'])}.{quoted(table['name'])}"
    said = ", ".join(map(_as_text, table["columns"], table["types"]))
    query = f"""
        WITH line AS (SELECT concat_ws(E'\\n', {said}) AS said FROM {whole})
        SELECT n.place, EXISTS (SELECT FROM unnest($2::text[]) AS i WHERE strpos(said, i) > 0) AS own, count(*) AS rows
        FROM line JOIN unnest($1::text[]) WITH ORDINALITY AS n (pattern, place) ON said ~ n.pattern GROUP BY 1, 2
    """  # noqa: S608 - names of the catalogue, quoted
    place = Place(f"table {table['schema']}.{table['name']}")
    place.read = await connection.fetchval(f"SELECT count(*) FROM {whole}")  # noqa: S608 - the same
    for row in await connection.fetch(query, patterns, list(wanted.ids)):
        what = list(forms.values())[row["place"] - 1]
        (place.own if row["own"] or what == SUBJECT else place.others)[what] += row["rows"]
    return place


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
        place = places[record.topic]
        place.read += 1
        place.sealed += person is not None and person.person in people_in(record.data)
        place.count(record.text, wanted)
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


def opened_texts(options: Options, topics: Sequence[str], flow_key: FlowKey, key: PersonKey) -> dict[str, str]:
    """Return what a person's key opens in the topics, text → where it stands in its event."""
    found: dict[str, str] = {}
    for record in read_topics(options, topics):
        if key.person in people_in(record.data):
            found |= _opened(record.event, record.data, flow_key, key)
    return {text: what for text, what in found.items() if len(text) >= _SHORTEST}


def _opened(event: str, data: bytes, flow_key: FlowKey, key: PersonKey) -> dict[str, str]:
    found: dict[str, str] = {}

    def note(sealed: Sealed, path: str) -> Any:
        if sealed.person == key.person:
            with suppress(SealBrokenError):  # moved there by somebody else; what it holds stands where it was sealed
                value = json.loads(flow_key.open(key, sealed.content, event, path))
                if not isinstance(value, bool):  # every table is full of these
                    found[str(value)] = path
        return None

    replaced(data, note)
    return found


def search_lake(folder: Path, wanted: Wanted, person: PersonKey | None) -> Iterator[Place]:
    """Look into each file below a lake's folder, also those that no table reads any more; a place a table."""
    places: dict[str, Place] = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix().split("/_delta_log/")[0].split("/part-")[0]
        place = places.setdefault(name, Place(f"lake {name}"))
        for data in _rows(file):
            place.read += 1
            place.sealed += person is not None and person.person in people_in(data)
            place.count(data, wanted)
    yield from places.values()


def _rows(file: Path) -> Iterator[bytes]:
    if file.suffix != ".parquet":
        yield from file.read_bytes().splitlines()
        return
    # pyarrow takes 0.1 s to import, which every other command would wait for
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(1_000):
                yield from (b"\n".join(_texts(row)) for row in batch.to_pylist())
    except ArrowException as error:
        raise ReadError(f"{file}: {error}", "Is it a lake's file?") from None


def _texts(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict):
        for below in value.values():
            yield from _texts(below)
    elif isinstance(value, list):
        for below in value:
            yield from _texts(below)
    elif value is not None:
        yield value if isinstance(value, bytes) else str(value).encode()
