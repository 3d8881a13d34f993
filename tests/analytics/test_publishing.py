"""How a mart comes from DuckDB's file into the lake, and what is left of what it was before."""

import fcntl
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from orderflow_analytics.errors import ModelsError
from orderflow_analytics.lake.zones import Lake
from orderflow_analytics.marts import build
from orderflow_analytics.marts.inputs import made_from

MART = "sold"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A file as dbt leaves it, with one mart."""
    with duckdb.connect(str(tmp_path / "marts.duckdb")) as made:
        made.execute(f"CREATE SCHEMA {build.SCHEMA}; CREATE TABLE {build.SCHEMA}.{MART} AS SELECT 1 AS pieces")
        yield made


@pytest.mark.parametrize("odd", ["interval 1 day", "time '12:00'", "18446744073709551615::ubigint"])
def test_a_mart_of_a_type_that_the_lake_has_not_is_said_in_a_line(
    made: duckdb.DuckDBPyConnection, tmp_path: Path, odd: str
) -> None:
    """Also one that dbt put elsewhere, under an alias; what was published before stays."""
    place = str(tmp_path / "serving" / MART)
    build._publish(made, MART, place, "first")
    made.execute(f"CREATE OR REPLACE TABLE {build.SCHEMA}.{MART} AS SELECT {odd} AS odd")
    with pytest.raises(ModelsError, match=f"mart {MART} cannot be published") as refused:
        build._publish(made, MART, place, "second")
    assert "\n" not in str(refused.value)
    with pytest.raises(ModelsError, match="mart elsewhere cannot be published"):
        build._publish(made, "elsewhere", str(tmp_path / "elsewhere"), "first")
    assert (made_from(place), DeltaTable(place).version()) == ("first", 0)


def test_a_mart_that_no_model_makes_any_more_goes(made: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """What was in it would stay for ever; others stay, and so does a table that no build has published."""
    lake = Lake(str(tmp_path / "lake"), "shop")
    lake.raw()
    assert build._remove_unmade(lake, [MART]) == ()
    build._publish(made, MART, lake.mart_uri(MART), "first")
    made.execute(f"CREATE TABLE {build.SCHEMA}.gone AS SELECT 1 AS pieces")
    build._publish(made, "gone", lake.mart_uri("gone"), "first")
    write_deltalake(lake.mart_uri("foreign"), pa.table({"own": [1]}))
    assert build._remove_unmade(lake, [MART]) == ("gone",)
    there = [DeltaTable.is_deltatable(lake.mart_uri(mart)) for mart in (MART, "gone", "foreign")]
    assert there == [True, False, True]
    assert build._remove_unmade(lake, [MART]) == ()


def test_what_a_mart_was_a_week_ago_is_removed(made: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Its files go, what was replaced since stays, and the mart is still of its newest inputs."""
    place = tmp_path / "serving" / MART
    build._publish(made, MART, str(place), "first")
    (first,) = place.glob("*.parquet")
    build._publish(made, MART, str(place), "second")
    replaced = place / "_delta_log" / f"{1:020}.json"
    actions = [json.loads(line) for line in replaced.read_text().splitlines()]
    for action in actions:
        if "remove" in action:
            action["remove"]["deletionTimestamp"] -= timedelta(days=8) // timedelta(milliseconds=1)
    replaced.write_text("\n".join(map(json.dumps, actions)))
    build._publish(made, MART, str(place), "third")
    assert (first.exists(), len(list(place.glob("*.parquet")))) == (False, 2)
    assert made_from(str(place)) == "third"
    assert DeltaTable(place).to_pyarrow_table().to_pylist() == [{"pieces": 1}]


def test_the_folder_of_a_killed_run_goes_and_that_of_a_living_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was killed while dbt worked leaves DuckDB's file; the next one finds it, by the lock that ended."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead, living = tmp_path / "orderflow-marts-dead", tmp_path / "orderflow-marts-living"
    for folder in (dead, living):
        folder.mkdir()
        (folder / "marts.duckdb").touch()
    lock = os.open(living, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with build._workspace() as folder:
        assert folder.is_dir()
        assert (dead.exists(), living.exists()) == (False, True)
    os.close(lock)
    assert not folder.exists()
