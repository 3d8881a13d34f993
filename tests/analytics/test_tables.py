"""One table of the lake: its commits, its chunks, and a contract that grows."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable
from pydantic import Field

from orderflow_analytics.contracts.contract import Contract, load_contracts
from orderflow_analytics.errors import ContractError, LakeBusyError
from orderflow_analytics.lake import curate as curating
from orderflow_analytics.lake.curate import curate
from orderflow_analytics.lake.stored_events import _table
from orderflow_analytics.lake.zones import Lake, curated_schema
from orderflow_contracts.event import PERSONAL, Event, Model
from support.analytics.stored import NOON, Stored


class Asked(Event):
    """A question, as it was first."""

    TYPE = "ASKED"

    question: str


class AskedAgain(Event):
    """The same with a field more."""

    TYPE = "ASKED"

    question: str
    urgent: bool = False


def put(lake: Lake, batch: int, *data: bytes) -> None:
    """Add one batch of ASKED to the raw zone."""
    events = [Stored("ASKED", "/s", f"e{batch}-{n}", 1, "k", NOON, body) for n, body in enumerate(data)]
    more = {"stored_at": NOON, "stored_date": NOON.date(), "batch": batch}
    lake.raw().append(_table([one._asdict() | more for one in events]), position=batch)


def test_of_two_writers_the_one_that_read_before_the_other_wrote_adds_nothing(tmp_path: Path) -> None:
    """A writer that was frozen meanwhile is refused by the version it read, with a position and without."""
    lake = Lake(str(tmp_path))
    both = lake.raw(), lake.raw()
    put(lake, 7, b"{}")
    again = lake.raw().rows(pc.scalar(True), both[0].schema.names).to_table()
    for frozen, position in zip(both, (7, None), strict=True):
        with pytest.raises(LakeBusyError, match="run again"):
            frozen.append(again, position)
    assert (lake.raw().position, lake.raw().rows(pc.scalar(True), ["batch"]).to_table().num_rows) == (7, 1)


def test_chunks_hold_whole_batches_and_nothing_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With chunks of two, batches of one to three events each come whole, and all come."""
    monkeypatch.setattr(curating, "MOST_ROWS", 2)
    lake, contract = Lake(str(tmp_path)), Contract(Asked)
    for batch, size in enumerate([1, 3, 1, 1, 2], start=1):
        put(lake, batch, *[b'{"question":"why"}'] * size)
    found = list(curating.chunks(lake.raw(), pc.field("event_type") == "ASKED", 0))
    assert found == [(1, 2), (3, 4), (5, 5)]
    monkeypatch.setattr(curating, "MOST_BYTES", 1)
    assert [pair[0] for pair in curating.chunks(lake.raw(), pc.field("event_type") == "ASKED", 3)] == [4, 5]
    assert (curate(lake, contract).taken, lake.curated(contract).position) == (8, 5)


def test_a_contract_that_grows_adds_its_column(tmp_path: Path) -> None:
    """Rows of before have no value there; they stay as they are."""
    lake = Lake(str(tmp_path))
    put(lake, 1, b'{"question":"why"}')
    curate(lake, Contract(Asked))
    put(lake, 2, b'{"question":"when","urgent":true}')
    grown = Contract(AskedAgain)
    curate(lake, grown)
    rows = lake.curated(grown).rows(pc.scalar(True), ["question", "urgent"]).to_table().to_pylist()
    assert sorted(rows, key=str) == [{"question": "when", "urgent": True}, {"question": "why", "urgent": None}]


def test_many_small_files_become_few_and_nothing_else_changes(tmp_path: Path) -> None:
    """Rows and position stay, and where there is nothing to do there is no new version."""
    lake, contract = Lake(str(tmp_path)), Contract(Asked)
    for batch in range(1, 26):
        put(lake, batch, b'{"question":"why"}')
    curate(lake, contract)
    lake.tidy([contract])
    raw = DeltaTable(f"{lake.uri}/raw")
    assert (len(raw.file_uris()), raw.to_pyarrow_table().num_rows, lake.raw().position) == (1, 25, 25)
    lake.tidy([contract])
    assert DeltaTable(f"{lake.uri}/raw").version() == raw.version()
    put(lake, 26, b'{"question":"when"}')
    assert (curate(lake, contract).taken, lake.raw().position) == (1, 26)


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
    lake, contract = Lake(str(tmp_path)), Contract(Measured)
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


class Untyped(Event):
    """An event with a field of any kind."""

    TYPE: ClassVar[str] = "UNTYPED"

    body: int | str


class Taken(Event):
    """An event with a field called as a column of the lake's own."""

    TYPE: ClassVar[str] = "TAKEN"

    batch: int


def test_a_contract_that_makes_no_columns_is_refused_with_its_place() -> None:
    """A choice between types, a name of the lake's own, a module that is not there: each says where it is."""
    with pytest.raises(ContractError, match="UNTYPED/body"):
        _ = Contract(Untyped).columns
    with pytest.raises(ContractError, match="TAKEN: the lake has columns called batch"):
        curated_schema(Contract(Taken))
    with pytest.raises(ContractError, match="nowhere cannot be imported"):
        load_contracts("nowhere", {})
