"""For how long events are kept: nothing goes that the lake has not got, whatever dies; then all that is old does."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from orderflow_analytics.configuration import pipeline_of
from orderflow_analytics.orchestration.steps import Steps
from orderflow_model import environment
from orderflow_model.loading.load import load_flow
from support.analytics.stored import Site, Stored, cancelled, ids, ran, refunded

TODAY = datetime.now(UTC).date()
OLD = TODAY - timedelta(days=9)


async def site_of(database: str, folder: Path, **retention: Any) -> Site:
    """A site that keeps events for so long."""
    site = Site(database, folder, {"retention": retention})
    await site.prepare()
    return site


async def stored(site: Site) -> list[str]:
    """The ids of the events that Postgres has."""
    return [row["id"] for row in await site.fetch("SELECT id FROM events ORDER BY id")]


async def days(site: Site) -> set[str]:
    """The days that have a partition."""
    query = "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'events'::regclass"
    return {row["name"] for row in await site.fetch(query)}


async def put(site: Site) -> tuple[Stored, Stored, Stored]:
    """Store two old events of two names and one of today; the first two on a day of their own each."""
    first, second, now = cancelled("o1"), refunded("o2", 5), cancelled("o3")
    await site.put_on(OLD, first)
    await site.put_on(OLD + timedelta(days=1), second)
    await site.put([now])
    return first, second, now


async def test_days_that_the_lake_has_go_and_their_partitions_with_them(database: str, tmp_path: Path) -> None:
    """What is younger stays; the lake has all of it, and a second run finds nothing to do."""
    site = await site_of(database, tmp_path, stored="48h")
    first, second, now = await put(site)
    await ran(site)
    assert await stored(site) == [now.id]
    assert not {f"events_{OLD:%Y%m%d}", f"events_{OLD + timedelta(days=1):%Y%m%d}"} & await days(site)
    assert ids(site.rows("raw")) == sorted([first.id, second.id, now.id])
    versions = site.versions()
    await ran(site)
    assert site.versions() == versions


async def test_an_event_may_be_kept_longer_than_the_others(database: str, tmp_path: Path) -> None:
    """Of a day that holds both, the others go and it stays; also where rows are in the default partition."""
    site = await site_of(database, tmp_path, stored="48h", events=[{"event": "ORDER_CANCELLED", "stored": "2400h"}])
    first, _second, now = await put(site)
    loose = refunded("o4", 6)
    await site.put([loose])
    await site.fetch(f"UPDATE events SET stored_at = '{OLD - timedelta(days=5)}' WHERE id = '{loose.id}'")  # noqa: S608 - ours
    await ran(site)
    assert await stored(site) == sorted([first.id, now.id])


async def test_without_retention_everything_stays(site: Site) -> None:
    """Nobody loses what they did not ask to lose."""
    given = await put(site)
    await ran(site)
    assert await stored(site) == sorted(one.id for one in given)
    assert ids(site.rows("raw")) == sorted(one.id for one in given)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_nothing_goes_that_the_lake_has_not_got(database: str, tmp_path: Path, when: str) -> None:
    """Killed at each commit of a run, each event is in Postgres or in the lake; the next run leaves it once in each."""
    site = await site_of(database, tmp_path, stored="48h", lake="96h")
    given = sorted(one.id for one in await put(site))
    for number in range(1, 6):
        done = await asyncio.to_thread(site.run, when, str(number))
        kept = {*(await stored(site)), *ids(site.rows("raw")), *ids(site.rows("curated/order_cancelled"))}
        kept |= set(ids(site.rows("curated/payment_refunded")))
        assert kept == set(given), (number, done.stderr)
    await ran(site)
    assert ids(site.rows("curated/order_cancelled") + site.rows("curated/payment_refunded")) == given
    assert len(await stored(site)) == 1


async def test_the_lake_forgets_what_came_but_not_what_was_made_of_it(database: str, tmp_path: Path) -> None:
    """Old rows leave the raw zone and the quarantine; typed ones, which have nothing of people, stay."""
    site = await site_of(database, tmp_path, lake="48h", events=[{"event": "PAYMENT_REFUNDED", "lake": "2400h"}])
    first, second, now = await put(site)
    odd, fresh = cancelled("o4", reason="WEATHER"), cancelled("o5", reason="WEATHER")
    await site.put_on(OLD, odd)
    await site.put([fresh])
    await ran(site)
    assert ids(site.rows("raw")) == sorted([second.id, now.id, fresh.id])
    assert ids(site.rows("quarantine")) == [fresh.id]
    assert ids(site.rows("curated/order_cancelled")) == sorted([first.id, now.id])
    await ran(site)
    assert ids(site.rows("curated/order_cancelled")) == sorted([first.id, now.id])


async def test_what_an_open_transaction_holds_up_is_kept(database: str, tmp_path: Path) -> None:
    """The lake has not got it, however old it is."""
    site = await site_of(database, tmp_path, stored="24h")
    holder = await asyncpg.connect(database)
    async with holder.transaction():
        await holder.fetchval("SELECT pg_current_xact_id()")
        given = await put(site)
        assert "held up: 2 events" in await ran(site)
        assert await stored(site) == sorted(one.id for one in given)
    await holder.close()
    assert "held up" not in await ran(site)
    assert len(await stored(site)) == 1


@pytest.mark.parametrize(
    ("days", "passed", "words"), [(0, 0, "for a day at least"), (1, 2**62, "may not be complete yet")]
)
async def test_who_may_drop_days_may_not_drop_all(site: Site, days: int, passed: int, words: str) -> None:
    """Today stays, and so does what no lake can have."""
    await put(site)
    with pytest.raises(asyncpg.PostgresError, match=words):
        await site.fetch(f"SELECT drop_days({days}, '{{}}', {passed})")
    assert len(await stored(site)) == 3


async def test_a_reader_that_holds_the_table_holds_up_nobody_but_the_dropping(database: str, tmp_path: Path) -> None:
    """A run gives way after two seconds, ends well, and the next one drops."""
    site = await site_of(database, tmp_path, stored="24h")
    await put(site)
    reader = await asyncpg.connect(database)
    async with reader.transaction(isolation="repeatable_read"):
        await reader.fetch("SELECT * FROM raw.events")
        await ran(site)
        assert len(await stored(site)) == 3
    await reader.close()
    await ran(site)
    assert len(await stored(site)) == 1


async def test_what_no_contract_has_judged_stays_in_the_lake(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However old it is, and though the step that drops is asked for by itself, as the page of the graph can."""
    site = await site_of(database, tmp_path, lake="48h")
    given = await put(site)
    monkeypatch.setenv(environment.LAKE, str(site.lake))
    monkeypatch.setenv(environment.DATABASE_URL, database)
    steps = Steps(pipeline_of(load_flow(site.flow), os.environ), os.environ)
    await steps.export()
    await steps.tidy()
    assert ids(site.rows("raw")) == sorted(one.id for one in given)
    await ran(site)
    assert ids(site.rows("curated/order_cancelled") + site.rows("curated/payment_refunded")) == sorted(
        one.id for one in given
    )
    assert ids(site.rows("raw")) == [given[2].id]


async def test_the_newest_event_may_be_the_one_that_the_lake_keeps_no_longer(database: str, tmp_path: Path) -> None:
    """Postgres still has it, newer than all that the lake has: that is no other database, and runs go on."""
    site = await site_of(database, tmp_path, events=[{"event": "PAYMENT_REFUNDED", "lake": "24h"}])
    first, second = cancelled("o1"), refunded("o2", 5)
    await site.put_on(OLD, first)
    await site.put_on(OLD + timedelta(days=1), second)
    await ran(site)
    assert ids(site.rows("raw")) == [first.id]
    await ran(site)
    now = cancelled("o3")
    await site.put([now])
    await ran(site)
    assert ids(site.rows("curated/order_cancelled")) == sorted([first.id, now.id])


async def test_who_stores_does_not_wait_while_rows_go_one_by_one(database: str, tmp_path: Path) -> None:
    """However long that takes; a day that may go as a whole is locked after them, and for a moment."""
    site = await site_of(database, tmp_path)
    first, second, now = await put(site)
    loose = refunded("o4", 6)
    await site.put([loose])
    await site.fetch(f"UPDATE events SET stored_at = '{OLD - timedelta(days=5)}' WHERE id = '{loose.id}'")  # noqa: S608 - ours
    passed = (await site.fetch("SELECT max(batch) AS batch FROM events"))[0]["batch"]
    holder = await asyncpg.connect(database)
    async with holder.transaction():
        await holder.fetch("SELECT 1 FROM raw.events WHERE id = $1 FOR KEY SHARE", loose.id)
        dropping = asyncio.create_task(site.fetch(f"SELECT drop_days(2, '{{}}', {passed})"))
        await asyncio.sleep(0.5)
        coming = cancelled("o5")
        await asyncio.wait_for(site.put([coming]), 1)
        assert not dropping.done()
    await holder.close()
    await dropping
    assert await stored(site) == sorted([now.id, coming.id])
    assert {first.id, second.id, loose.id}.isdisjoint(await stored(site))
