"""One table of the lake: its commits, its chunks, and a contract that grows."""

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from orderflow_analytics.contracts.contract import Contract
from orderflow_analytics.errors import LakeBusyError, OtherTableError
from orderflow_analytics.lake import curate as curating
from orderflow_analytics.lake.curate import curate
from orderflow_analytics.lake.table import LakeTable
from orderflow_analytics.lake.zones import Lake
from orderflow_contracts.event import Event, Model
from support.analytics.stored import NOON, put


class AskedHowMany(Event):
    """A number that is asked for."""

    TYPE = "ASKED"

    question: int


class Asked(Event):
    """A question, as it was first."""

    TYPE = "ASKED"

    question: str


class AskedAgain(Event):
    """The same with a field more."""

    TYPE = "ASKED"

    question: str
    urgent: bool = False


def test_of_two_writers_the_one_that_read_before_the_other_wrote_adds_nothing(tmp_path: Path) -> None:
    """A writer that was frozen meanwhile is refused by the version it read, with a position and without."""
    lake = Lake(str(tmp_path), "shop")
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
    lake, contract = Lake(str(tmp_path), "shop"), Contract(Asked)
    for batch, size in enumerate([1, 3, 1, 1, 2], start=1):
        put(lake, batch, *[b'{"question":"why"}'] * size)
    found = list(curating.chunks(lake.raw(), ("event_type", ["ASKED"]), 0))
    assert found == [(1, 2), (3, 4), (5, 5)]
    monkeypatch.setattr(curating, "MOST_BYTES", 1)
    assert [pair[0] for pair in curating.chunks(lake.raw(), ("event_type", ["ASKED"]), 3)] == [4, 5]
    assert (curate(lake, contract).taken, lake.curated(contract).position) == (8, 5)


def test_a_contract_that_grows_adds_its_column(tmp_path: Path) -> None:
    """Rows of before have no value there; they stay as they are."""
    lake = Lake(str(tmp_path), "shop")
    put(lake, 1, b'{"question":"why"}')
    curate(lake, Contract(Asked))
    put(lake, 2, b'{"question":"when","urgent":true}')
    grown = Contract(AskedAgain)
    curate(lake, grown)
    rows = lake.curated(grown).rows(pc.scalar(True), ["question", "urgent"]).to_table().to_pylist()
    assert sorted(rows, key=str) == [{"question": "when", "urgent": True}, {"question": "why", "urgent": None}]


class Place(Model):
    """Where somebody asks."""

    town: str


class Abroad(Place):
    """The same with a field more."""

    country: str = ""


class AskedIn(Event):
    """A question with a place."""

    TYPE = "ASKED"

    question: str
    places: tuple[Place, ...] = ()


class AskedAbroad(Event):
    """The same with a field more in each place."""

    TYPE = "ASKED"

    question: str
    places: tuple[Abroad, ...] = ()


@pytest.mark.parametrize(("old", "new", "name"), [(Asked, AskedAgain, "urgent"), (AskedIn, AskedAbroad, "country")])
def test_a_column_is_there_before_the_first_event_that_has_it(
    tmp_path: Path, old: type[Event], new: type[Event], name: str
) -> None:
    """A model that reads it builds at once; rows and position stay, and a second run writes nothing."""
    lake, grown = Lake(str(tmp_path), "shop"), Contract(new)
    put(lake, 1, b'{"question":"why"}')
    curate(lake, Contract(old))
    curate(lake, grown)
    table = DeltaTable(lake.curated_uri(grown))
    assert (name in table.schema().to_json(), table.version()) == (True, 2)
    assert (table.to_pyarrow_table().num_rows, lake.curated(grown).position) == (1, 1)
    curate(lake, grown)
    assert DeltaTable(table.table_uri).version() == 2


class AskedAloud(Event):
    """The same with another type."""

    TYPE = "ASKED"

    question: float


def test_a_contract_that_changes_a_type_is_refused_and_no_value_is_rounded(tmp_path: Path) -> None:
    """Where whole numbers were kept fractions are not cut to fit; the table made anew from the raw zone has both."""
    lake, whole, fraction = Lake(str(tmp_path), "shop"), Contract(AskedHowMany), Contract(AskedAloud)
    put(lake, 1, b'{"question":1}')
    curate(lake, whole)
    put(lake, 2, b'{"question":1.5}')
    with pytest.raises(OtherTableError, match="question"):
        curate(lake, fraction)
    shutil.rmtree(lake.curated_uri(fraction))
    assert curate(lake, fraction).taken == 2
    rows = lake.curated(fraction).rows(pc.scalar(True), ["question"]).to_table()
    assert sorted(rows["question"].to_pylist()) == [1.0, 1.5]


def test_what_is_of_another_lake_is_refused(tmp_path: Path) -> None:
    """Of another flow, and a curated table that has come further than the raw zone beside it."""
    lake, contract = Lake(str(tmp_path), "shop"), Contract(Asked)
    put(lake, 5, b'{"question":"why"}')
    curate(lake, contract)
    with pytest.raises(OtherTableError, match="of flow shop, not of crm"):
        Lake(lake.uri, "crm").raw()
    shutil.rmtree(tmp_path / "raw")
    put(lake, 2, b'{"question":"when"}')
    with pytest.raises(OtherTableError, match="come further"):
        curate(lake, contract)


def test_events_of_many_days_come_in_parts_each_once_also_after_a_death_between_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit has few days, since each is a file held open; the next run does the rest."""
    monkeypatch.setattr(curating, "MOST_DAYS", 2)
    lake, contract = Lake(str(tmp_path), "shop"), Contract(Asked)
    times = [NOON - timedelta(days=day) for day in range(5)]
    put(lake, 1, *[b'{"question":"why"}'] * 5, times=times)
    append = LakeTable.append

    def dying(table: LakeTable, rows: pa.Table, position: int | None = None) -> None:
        if table.uri.endswith("asked") and table._delta.version() == 1:
            raise KeyboardInterrupt
        append(table, rows, position)

    with monkeypatch.context() as patched:
        patched.setattr(LakeTable, "append", dying)
        with pytest.raises(KeyboardInterrupt):
            curate(lake, contract)
    count = curate(lake, contract)
    assert (count.taken, count.repeated, lake.curated(contract).position) == (3, 2, 1)
    rows = lake.curated(contract).rows(pc.scalar(True), ["event_date"]).to_table()
    assert sorted(rows["event_date"].to_pylist()) == sorted(time.date() for time in times)
    assert lake.curated(contract)._delta.version() == 3


def test_files_of_which_no_commit_tells_go_after_a_week(tmp_path: Path) -> None:
    """What a killed run wrote and did not commit is removed by a run that tidies, and what is younger is not."""
    lake = Lake(str(tmp_path), "shop")
    for batch in range(1, 23):
        put(lake, batch, b'{"question":"why"}')
    day = tmp_path / "raw" / "event_type=ASKED" / "stored_date=2026-03-01"
    old, young = day / "part-old.parquet", day / "part-young.parquet"
    for file in (old, young):
        shutil.copy(next(day.glob("part-0*")), file)
    week = timedelta(days=8).total_seconds()
    os.utime(old, (old.stat().st_mtime - week,) * 2)
    lake.raw().tidy()
    assert (old.exists(), young.exists()) == (False, True)


def test_each_event_is_taken_once_wherever_it_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its own batch, in another chunk, in another window, in a later run; also where the first did not fit."""
    monkeypatch.setattr(curating, "MOST_ROWS", 2)
    monkeypatch.setattr(curating, "CHUNKS_AT_ONCE", 2)
    lake, contract = Lake(str(tmp_path), "shop"), Contract(Asked)
    sound, unfit = b'{"question":"why"}', b"{}"
    batches = [["a", "b", "a"], ["c", "d"], ["a", "x"], ["e", "b"], ["f", "g"], ["x", "c"]]
    for number, ids in enumerate(batches, start=1):
        put(lake, number, *(unfit if name == "x" else sound for name in ids), ids=ids)
    assert curate(lake, contract) == curating.Curated(taken=7, refused=1, repeated=5)
    put(lake, 9, sound, unfit, sound, ids=["a", "x", "h"])
    assert curate(lake, contract) == curating.Curated(taken=1, refused=0, repeated=2)
    for table, ids in ((lake.curated(contract), list("abcdefgh")), (lake.quarantine(), ["x"])):
        assert sorted(table.rows(pc.scalar(True), ["event_id"]).to_table()["event_id"].to_pylist()) == ids


def test_known_events_are_looked_for_once_for_many_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look reads the days of the events: by the chunk it would cost a day of n events the square of n."""
    monkeypatch.setattr(curating, "MOST_ROWS", 1)
    lake, contract = Lake(str(tmp_path), "shop"), Contract(Asked)
    for batch in range(1, 16):
        put(lake, batch, b'{"question":"why"}')
    looks, rows = [], LakeTable.rows

    def counted(table: LakeTable, *given: object, **more: object) -> object:
        looks.append(table.uri)
        return rows(table, *given, **more)

    monkeypatch.setattr(LakeTable, "rows", counted)
    assert curate(lake, contract).taken == 15
    assert [uri.rpartition("/")[2] for uri in looks if not uri.endswith("raw")] == ["quarantine", "asked"]


def test_many_days_with_few_files_each_become_one_file_a_day(tmp_path: Path) -> None:
    """No day has so many that it alone would be looked at; but each is read three times as slowly."""
    lake, days = Lake(str(tmp_path), "shop"), [NOON - timedelta(days=day) for day in range(25)]
    contract = Contract(Asked)
    for batch in range(1, 4):
        put(lake, batch, *[b'{"question":"why"}'] * len(days), times=days)
        curate(lake, contract)
    lake.tidy([contract])
    table = DeltaTable(lake.curated_uri(contract))
    assert (len(table.file_uris()), table.to_pyarrow_table().num_rows) == (25, 75)
    lake.tidy([contract])
    assert DeltaTable(lake.curated_uri(contract)).version() == table.version()


def test_what_a_reader_has_to_hold_is_bounded_by_bytes_also_in_a_file_made_of_many(tmp_path: Path) -> None:
    """Row groups of large events have few rows, after a commit and after files were put together."""
    lake = Lake(str(tmp_path), "shop")
    for batch in range(1, 25):
        put(lake, batch, *(os.urandom(50_000) for _ in range(10)))
    lake.raw().tidy()
    (file,) = DeltaTable(f"{lake.uri}/raw").file_uris()
    foot = pq.read_metadata(file)
    sizes = [foot.row_group(number).total_byte_size for number in range(foot.num_row_groups)]
    assert (foot.num_rows, max(sizes) <= 2.5 * 2**20) == (240, True), sizes


def test_many_small_files_become_few_and_nothing_else_changes(tmp_path: Path) -> None:
    """Rows and position stay, and where there is nothing to do there is no new version."""
    lake, contract = Lake(str(tmp_path), "shop"), Contract(Asked)
    for batch in range(1, 26):
        put(lake, batch, b'{"question":"why"}')
    curate(lake, contract)
    lake.raw().tidy()
    lake.tidy([contract])
    raw = DeltaTable(f"{lake.uri}/raw")
    assert (len(raw.file_uris()), raw.to_pyarrow_table().num_rows, lake.raw().position) == (1, 25, 25)
    lake.raw().tidy()
    lake.tidy([contract])
    assert DeltaTable(f"{lake.uri}/raw").version() == raw.version()
    put(lake, 26, b'{"question":"when"}')
    assert (curate(lake, contract).taken, lake.raw().position) == (1, 26)
