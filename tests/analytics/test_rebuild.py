"""A day made anew from the raw zone is what it was, or what its contract now makes of it; nothing is lost."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable
from pydantic import field_validator

from orderflow_analytics.contracts.contract import Contract
from orderflow_analytics.errors import DayGoneError
from orderflow_analytics.lake.curate import curate
from orderflow_analytics.lake.rebuild import rebuild_day
from orderflow_analytics.lake.table import LakeTable
from orderflow_analytics.lake.zones import Lake
from orderflow_contracts.event import Event
from support.analytics.stored import NOON, Stored, ids, put, put_events

DAY, LATE = NOON.date(), NOON - timedelta(days=3)


class Asked(Event):
    """A number that is asked for."""

    TYPE = "ASKED"

    number: int


class AskedMended(Event):
    """The same, which also takes a number that is written out."""

    TYPE = "ASKED"

    number: int

    @field_validator("number", mode="before")
    @classmethod
    def _written_out(cls, given: Any) -> Any:
        return {"one": 1, "two": 2}.get(given, given) if isinstance(given, str) else given


class AskedWhy(Event):
    """The same with a field more."""

    TYPE = "ASKED"

    number: int
    why: str = "none"


class AskedNothing(Event):
    """The same without its field."""

    TYPE = "ASKED"


CONTRACT = Contract(Asked)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with events of two days, of which one came twice and one of each does not fit."""
    lake = Lake(str(tmp_path), "shop")
    put(lake, 1, b'{"number":1}', b'{"number":"one"}', b'{"number":2}', times=[NOON, NOON, LATE])
    put(lake, 2, b'{"number":3}', b'{"number":"two"}', times=[LATE, LATE])
    repeat = lake.raw().rows(pc.field("event_id") == "e1-0", lake.raw().schema.names).to_table()
    lake.raw().append(repeat.set_column(repeat.schema.get_field_index("batch"), "batch", pa.array([3])), position=3)
    curate(lake, CONTRACT)
    return lake


def rows(table: LakeTable) -> list[dict[str, Any]]:
    """Return what a table has."""
    found: list[dict[str, Any]] = DeltaTable(table.uri).to_pyarrow_table().to_pylist()
    return sorted(found, key=lambda row: str(row["event_id"]))


def test_a_day_made_anew_is_what_it_was(lake: Lake) -> None:
    """Also one that was lost from the curated table; other days, the quarantine and the position stay."""
    before, aside = rows(lake.curated(CONTRACT)), rows(lake.quarantine())
    assert (len(before), len(aside)) == (3, 2)
    count = rebuild_day(lake, CONTRACT, DAY)
    assert (count.taken, count.refused, count.repeated) == (1, 1, 1)
    assert (rows(lake.curated(CONTRACT)), rows(lake.quarantine())) == (before, aside)
    DeltaTable(lake.curated_uri(CONTRACT)).delete(f"event_date = '{LATE.date()}'")
    rebuild_day(lake, CONTRACT, LATE.date())
    assert (rows(lake.curated(CONTRACT)), rows(lake.quarantine())) == (before, aside)
    assert lake.curated(CONTRACT).position == 3
    assert (lake.curated(CONTRACT).rebuilds, curate(lake, CONTRACT).taken) == (2, 0)


def test_a_contract_that_was_mended_takes_a_day_out_of_the_quarantine(lake: Lake) -> None:
    """Each event is in one of the two afterwards; a run that dies between the commits leaves it in both at most."""
    mended = Contract(AskedMended)
    known = ids(rows(lake.curated(CONTRACT)) + rows(lake.quarantine()))
    rebuild_day(lake, mended, DAY)
    taken, aside = rows(lake.curated(mended)), rows(lake.quarantine())
    assert ids(taken + aside) == known
    assert [row["event_time"] for row in aside] == [LATE]


def test_a_day_that_the_raw_zone_has_lost_is_not_made_anew(lake: Lake) -> None:
    """What the curated table has of it would be gone: it stays, and so does the quarantine."""
    before = rows(lake.curated(CONTRACT))
    DeltaTable(lake.raw_uri).delete()
    with pytest.raises(DayGoneError, match="1 events of 2026-03-01"):
        rebuild_day(lake, CONTRACT, DAY)
    assert rows(lake.curated(CONTRACT)) == before


@pytest.mark.parametrize(
    ("kind", "made", "stayed"),
    [
        (AskedWhy, {"number": 1, "why": "none"}, {"number": 2, "why": None}),
        (AskedNothing, {"number": None}, {"number": 2}),
    ],
)
def test_a_day_made_anew_has_the_columns_of_a_contract_that_has_changed(
    tmp_path: Path, kind: type[Event], made: dict[str, Any], stayed: dict[str, Any]
) -> None:
    """A field more is a column of it, of one less it has no values; other days are as they were."""
    lake = Lake(str(tmp_path), "shop")
    put(lake, 1, b'{"number":1}', b'{"number":2}', times=[NOON, LATE])
    curate(lake, CONTRACT)
    assert rebuild_day(lake, Contract(kind), DAY).taken == 1
    found = [{name: row[name] for name in made} for row in rows(lake.curated(Contract(kind)))]
    assert found == [made, stayed]


def test_an_event_that_shares_its_id_with_one_of_another_source_is_not_lost(tmp_path: Path) -> None:
    """Where the raw zone has only the other one, the day stays."""
    lake = Lake(str(tmp_path), "shop")
    for batch, source in enumerate(("/a", "/b"), start=1):
        put_events(lake, batch, [Stored("ASKED", source, "same", 1, "k", NOON, b'{"number":1}')])
    curate(lake, CONTRACT)
    DeltaTable(lake.raw_uri).delete("event_source = '/a'")
    with pytest.raises(DayGoneError, match="1 events"):
        rebuild_day(lake, CONTRACT, DAY)
    assert len(rows(lake.curated(CONTRACT))) == 2
