"""What contracts become in the lake: which columns, which values, and which contracts have none."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import Field

from orderflow_analytics.contracts.contract import Contract, load_contracts
from orderflow_analytics.errors import ContractError
from orderflow_analytics.lake.curate import Curated, curate
from orderflow_analytics.lake.zones import Lake, curated_schema
from orderflow_analytics.marts.sources import sources
from orderflow_cli.contracts.event_contract import _of_class
from orderflow_contracts.event import PERSONAL, Event, Model
from orderflow_contracts.event_classes import load_event_classes
from orderflow_model.contracts.columns import column, columns
from orderflow_model.contracts.schema import field_of
from support.analytics.stored import put


class Person(Model):
    """Somebody with a name of their own and others."""

    name: str
    friends: tuple[str, ...]
    country: str


class Met(Event):
    """Two people met."""

    TYPE = "MET"

    first_person: Person
    second_person: Person | None = None
    note: Annotated[str | None, Field(json_schema_extra=PERSONAL)] = None


def test_what_the_resource_calls_personal_has_no_column() -> None:
    """A pointer hides just the place it names, in lists each item; one that points nowhere is refused."""
    pointers = ("/firstPerson/name", "/firstPerson/friends/0", "/secondPerson")
    (column,) = Contract(Met, pointers).columns
    assert (column.name, column.type) == ("first_person", pa.struct([("country", pa.string())]))
    assert Contract(Met).columns.names == ["first_person", "second_person"]
    with pytest.raises(ContractError, match="/firstPerson/nmae of MET"):
        _ = Contract(Met, ("/firstPerson/nmae",)).columns


class Measured(Event):
    """One value of each type."""

    TYPE = "ASKED"

    at: datetime
    day: date
    share: float
    count: int
    price: Decimal
    days: tuple[date, ...]


def test_each_type_comes_back_as_it_was_and_what_no_column_holds_is_set_aside(tmp_path: Path) -> None:
    """Times with their zone, days, fractions, whole numbers; one of 30 digits is in quarantine, the others are not."""
    lake, contract = Lake(str(tmp_path), "shop"), Contract(Measured)
    at, day = b'"at":"2026-03-01T12:00:00.123456+02:00"', b'"day":"2026-03-01","days":["2026-03-01"]'
    sound = b'{%s,%s,"share":0.1,"count":-5,"price":"1.10"}' % (at, day)
    put(lake, 1, sound, sound.replace(b"-5", b"1" * 30), sound.replace(b".123456", b""))
    count = curate(lake, contract)
    rows = lake.curated(contract).rows(pc.scalar(True), contract.columns.names).to_table().to_pylist()
    first = datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert {row.pop("at") for row in rows} == {first, first.replace(microsecond=123456)}
    days = {"day": date(2026, 3, 1), "days": [date(2026, 3, 1)]}
    assert rows == [days | {"share": 0.1, "count": -5, "price": "1.10"}] * 2
    assert (count.taken, count.refused, count.repeated) == (2, 1, 0)


class Loud(Model):
    """One of two forms."""

    volume: int


class Quiet(Model):
    """The other."""

    pause: int


class Note(Model):
    """What somebody wrote, and the answers to it."""

    words: str
    answers: tuple["Note", ...] = ()


class Signed(Note):
    """The same, with who wrote it."""

    author: Annotated[str, Field(json_schema_extra=PERSONAL)]


class Loose(Event):
    """An event with fields that have no one type."""

    TYPE: ClassVar[str] = "ASKED"

    body: int | str | None = None
    labels: dict[str, float]
    anything: Any = None
    pair: tuple[int, str] | None = None
    notes: tuple[Note, ...] = ()
    one: Loud | Quiet | None = None
    signed: Signed | int | None = None
    by_name: dict[str, Signed] | None = None
    seen: tuple[int, ...] = ()


def test_fields_of_no_one_type_are_columns_of_json_text(tmp_path: Path) -> None:
    """A choice between types, any names, anything, what has itself within it; what may be personal is in none."""
    lake, contract = Lake(str(tmp_path), "shop"), Contract(Loose)
    note = {"words": "Grüße", "answers": [{"words": "why?", "answers": []}]}
    person = {"words": "x", "author": "ann@example.org"}
    first = {"body": "1", "labels": {"a": 0.1}, "anything": [1, None], "pair": [1, "x"], "notes": [note], "seen": [3]}
    second = {"body": 1, "labels": {}, "one": {"volume": 9}, "signed": person, "byName": {"ann": person}}
    put(lake, 1, *(json.dumps(data).encode() for data in (first, second, {"body": [], "labels": {}})))
    assert curate(lake, contract) == Curated(taken=2, refused=1)
    rows = lake.curated(contract).rows(pc.scalar(True), contract.columns.names).to_table().to_pylist()
    texts = {row["body"]: row for row in rows}
    assert texts.keys() == {'"1"', "1"}
    whole = texts['"1"']
    assert [json.loads(whole[name]) for name in ("labels", "anything", "pair")] == [{"a": 0.1}, [1, None], [1, "x"]]
    (kept,) = whole["notes"]
    assert (kept["words"], [json.loads(one) for one in kept["answers"]]) == ("Grüße", note["answers"])
    assert (whole["one"], whole["seen"], json.loads(texts["1"]["one"])) == (None, [3], {"volume": 9})
    assert not {"signed", "by_name"} & rows[0].keys()
    assert "ann" not in str(rows)


def test_what_the_resource_calls_personal_within_a_text_hides_all_of_it() -> None:
    """JSON text of which a part is personal is no column."""
    assert "labels" not in Contract(Loose, ("/labels/ann",)).columns.names
    assert "notes" in Contract(Loose, ("/notes/*/answers/*/words",)).columns.names
    assert Contract(Loose, ("/notes/*/answers/*/words",)).columns.field("notes").type == pa.list_(
        pa.struct([("words", pa.string())])
    )


class OfWords(Event):
    """An event with a form that has itself within it, and somebody's name in it."""

    TYPE: ClassVar[str] = "ASKED"

    first: Signed
    others: dict[str, Note] | None = None


class Numbered(Event):
    """An event whose fields have numbers in their names."""

    TYPE: ClassVar[str] = "ASKED"

    line2: str
    sha256: str
    address_line1: str
    line2_name: str


@pytest.mark.parametrize(
    "kind", [*load_event_classes("orderflow_shop.events").values(), Met, Measured, Loose, OfWords, Numbered]
)
def test_the_command_says_of_the_lakes_columns_what_they_are(kind: type[Event]) -> None:
    """What `orderflow contracts` judges as a column is one, of that type, and there is no other."""
    schema = _of_class(kind)
    told = {column(place): TOLD[kind] for place, kind in columns(field_of(schema)).items()}
    assert told == {name: str(found) for name, found in _leaves(Contract(kind).columns)}


TOLD = {
    "string": "string",
    "integer": "int64",
    "number": "double",
    "boolean": "bool",
    "timestamp": "timestamp[us, tz=UTC]",
    "date": "date32[day]",
    **dict.fromkeys(["union", "object", "array"], "string"),
}
"""The type that a column has by the kind that the command tells; what has no type is JSON text."""


def _leaves(columns: Iterable[pa.Field], around: str = "") -> Iterator[tuple[str, pa.DataType]]:
    for one in columns:
        kind = one.type
        while pa.types.is_list(kind):
            kind = kind.value_type
        if pa.types.is_struct(kind):
            yield from _leaves(kind, f"{around}{one.name}.")
        else:
            yield around + one.name, kind


class Quarantined(Event):
    """An event called as a table of the lake's own."""

    TYPE: ClassVar[str] = "QUARANTINE"

    reason_given: str


class Shouted(Event):
    """An event with two fields of one name, but for the case."""

    TYPE: ClassVar[str] = "SHOUTED"

    word: str
    Word: str


class Taken(Event):
    """An event with a field called as a column of the lake's own."""

    TYPE: ClassVar[str] = "TAKEN"

    batch: int


def test_a_contract_that_makes_no_columns_is_refused_with_its_place() -> None:
    """Names that differ by case alone, a name of the lake's own, a module that is not there: each says where it is."""
    with pytest.raises(ContractError, match="SHOUTED: 1 of its fields"):
        _ = Contract(Shouted).columns
    with pytest.raises(ContractError, match="called QUARANTINE"):
        sources([Contract(Quarantined)])
    with pytest.raises(ContractError, match="TAKEN: the lake has columns called batch"):
        curated_schema(Contract(Taken))
    with pytest.raises(ContractError, match="nowhere cannot be imported"):
        load_contracts("nowhere", {})
