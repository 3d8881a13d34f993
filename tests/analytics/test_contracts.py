"""What contracts become in the lake: which columns, which values, and which contracts have none."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import Field

from orderflow_analytics.contracts.contract import Contract, load_contracts
from orderflow_analytics.errors import ContractError
from orderflow_analytics.lake.curate import curate
from orderflow_analytics.lake.zones import Lake, curated_schema
from orderflow_analytics.marts.sources import sources
from orderflow_contracts.event import PERSONAL, Event, Model
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


class Quarantined(Event):
    """An event called as a table of the lake's own."""

    TYPE: ClassVar[str] = "QUARANTINE"

    reason_given: str


class Untyped(Event):
    """An event with a field of any kind."""

    TYPE: ClassVar[str] = "UNTYPED"

    body: int | str


class Thread(Model):
    """An answer, and the answers to it."""

    answers: tuple["Thread", ...]


class Discussed(Event):
    """An event with something that has itself within it."""

    TYPE: ClassVar[str] = "DISCUSSED"

    thread: Thread


class Quoted(Event):
    """An event that has itself within it."""

    TYPE: ClassVar[str] = "QUOTED"

    quoted: "Quoted | None" = None


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
    """A choice between types, a name of the lake's own, a module that is not there: each says where it is."""
    with pytest.raises(ContractError, match="UNTYPED/body"):
        _ = Contract(Untyped).columns
    for endless, place in ((Discussed, "DISCUSSED/thread/answers"), (Quoted, "QUOTED/quoted")):
        with pytest.raises(ContractError, match=f"{place}: .* has itself within it"):
            _ = Contract(endless).columns
    with pytest.raises(ContractError, match="SHOUTED: 1 of its fields"):
        _ = Contract(Shouted).columns
    with pytest.raises(ContractError, match="called QUARANTINE"):
        sources([Contract(Quarantined)])
    with pytest.raises(ContractError, match="TAKEN: the lake has columns called batch"):
        curated_schema(Contract(Taken))
    with pytest.raises(ContractError, match="nowhere cannot be imported"):
        load_contracts("nowhere", {})
