"""From the sink's table to the lake, by the command: each event once, where it belongs, whatever dies on the way."""

import asyncio
import os
import signal
from datetime import date, timedelta

import asyncpg
import pyarrow.compute as pc
import pytest

from orderflow_analytics.lake.stored_events import StoredEvents
from orderflow_analytics.lake.zones import Lake
from support.analytics import measured_run
from support.analytics.stored import NOON, Site, cancelled, ids, ran, refunded
from support.flow.fleet import until

ROUNDS = 8


async def test_each_event_is_where_it_belongs(site: Site) -> None:
    """Sound ones are typed, a repeat is there once, a late one is on its own day, what does not fit has its reason."""
    sound, late = cancelled("o1"), cancelled("o2", NOON - timedelta(days=3))
    newer, strange = cancelled("o3", version=7, more="unknown"), cancelled("o4", reason="WEATHER")
    torn = cancelled("o5")._replace(data=b'{"orderId":')
    other_source = sound._replace(source="/shop/elsewhere", key="o6")
    await site.put([sound, late, newer], [sound, strange, torn], [strange, other_source])
    await ran(site)
    taken = {(row["event_id"], row["event_source"]): row for row in site.rows("curated/order_cancelled")}
    assert taken.keys() == {(one.id, one.source) for one in (sound, late, newer, other_source)}
    assert taken[late.id, late.source]["event_date"] == date(2026, 2, 26)
    refused = {row["event_id"]: row for row in site.rows("quarantine")}
    assert refused.keys() == {strange.id, torn.id}
    assert "/reason" in refused[strange.id]["reason"]
    assert refused[torn.id]["data"] == torn.data
    assert len(site.rows("raw")) == 8


async def test_the_curated_zone_has_nothing_of_people(site: Site) -> None:
    """What a contract marks as personal has no column; who ordered is known by id alone."""
    await site.put([cancelled("o1")])
    await ran(site)
    (row,) = site.rows("curated/order_cancelled")
    assert row["customer"] == {"id": "c1"}
    assert "ann@example.org" not in str(row)


async def test_a_second_run_without_new_events_writes_nothing(site: Site) -> None:
    """No table has a new version, also where the last chunk held only what does not fit."""
    await site.put([cancelled("o1")], [cancelled("o2", reason="WEATHER")])
    await ran(site)
    before = site.versions()
    await ran(site)
    assert site.versions() == before
    assert before["quarantine"] == 1


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_run_killed_at_any_commit_leaves_nothing_torn_or_doubled(site: Site, when: str) -> None:
    """Killed at each commit in turn, raw, quarantine and two of curated, with new events each time: all is exact."""
    given, refused = [], []
    for number in range(ROUNDS):
        fits, unfit = [cancelled(f"o{number}"), refunded(f"o{number}", number)], [cancelled("x", reason="WEATHER")]
        await site.put(fits, unfit)
        given += fits
        refused += unfit
        await asyncio.to_thread(site.die, when, 1 + number % 4)
    await ran(site)
    taken = site.rows("curated/order_cancelled") + site.rows("curated/payment_refunded")
    assert ids(taken) == sorted(one.id for one in given)
    assert ids(site.rows("quarantine")) == sorted(one.id for one in refused)
    assert ids(site.rows("raw")) == sorted(one.id for one in given + refused)


async def test_what_is_not_yet_committed_is_waited_for(site: Site) -> None:
    """A batch that began earlier and commits later than others is not passed over."""
    slow = await asyncpg.connect(site.admin_url, server_settings={"search_path": "raw"})
    first, second = cancelled("o1"), cancelled("o2")
    transaction = slow.transaction()
    await transaction.start()
    await slow.fetchval("SELECT pg_current_xact_id()")
    await site.put([second])
    await ran(site)
    assert site.rows("raw") == []
    await slow.execute(
        "INSERT INTO events (type, source, id, version, key, time, data) VALUES ($1, $2, $3, $4, $5, $6, $7)", *first
    )
    await transaction.commit()
    await slow.close()
    await ran(site)
    assert ids(site.rows("raw")) == sorted([first.id, second.id])


async def test_only_one_run_exports_at_a_time(site: Site) -> None:
    """While somebody holds the lease another run ends with one line and writes nothing."""
    await site.put([cancelled("o1")])
    other = await asyncpg.connect(site.admin_url, server_settings={"search_path": "raw"})
    await other.execute("SELECT pg_advisory_lock(hashtext('orderflow lake'))")
    refused = await asyncio.to_thread(site.run)
    await other.close()
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "run again when it has ended" in refused.stderr
    assert site.rows("raw") == []


async def test_a_lake_that_is_ahead_of_its_database_is_refused(site: Site) -> None:
    """A lake with batches that this database never had is left as it is: going on would pass over events."""
    await site.put([cancelled("o1")])
    await ran(site)
    raw = Lake(str(site.lake), site.name).raw()
    raw.append(raw.schema.empty_table(), position=2**50)
    await site.put([cancelled("o2")])
    refused = await asyncio.to_thread(site.run)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "begin a new lake" in refused.stderr


async def test_a_database_that_was_put_back_is_recognised_when_it_has_come_as_far_again(site: Site) -> None:
    """It counts its transactions anew: what came since by numbers that the lake has passed would be in no table."""
    await site.put([cancelled("o1")])
    await ran(site)
    connection = await asyncpg.connect(site.admin_url, server_settings={"search_path": "raw"})
    await connection.execute(
        "INSERT INTO events SELECT now(), batch - 1, type, source, 'new', version, key, time, data FROM events"
    )
    await connection.close()
    refused = await asyncio.to_thread(site.run)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "was put back" in refused.stderr


async def test_a_lake_of_another_flow_is_left_alone(site: Site) -> None:
    """Its own run goes on; that of another flow ends with one line and adds nothing."""
    await site.put([cancelled("o1")])
    await ran(site)
    other = Site(site.admin_url, site.folder, name="crm")
    await says(other, "of flow shop, not of crm")
    assert len(site.rows("raw")) == 1


async def test_a_folder_that_delta_cannot_name_is_refused(site: Site) -> None:
    """Characters by which it would write to one place and read from another, or panic."""
    for odd in ("a%20b", "[x]", "a\\b", "a\nb"):
        site.place = odd
        refused = await asyncio.to_thread(site.run)
        assert (refused.returncode, "in it" in refused.stderr) == (1, True), refused.stderr
        assert not (site.folder / odd).exists()


async def test_an_interrupted_run_ends_at_once_and_without_a_traceback(site: Site) -> None:
    """Ctrl-C while it waits for Postgres."""
    holder = await asyncpg.connect(site.admin_url)
    await holder.execute("BEGIN; LOCK TABLE raw.events IN ACCESS EXCLUSIVE MODE")
    run = site.start()
    waits = "SELECT 1 FROM pg_locks WHERE NOT granted"
    await until(lambda: holder.fetchval(waits), "the run waits for the table")
    run.send_signal(signal.SIGINT)
    _, words = await asyncio.to_thread(run.communicate, timeout=30)
    await holder.close()
    assert (run.returncode, words) == (-signal.SIGINT, "")


@pytest.mark.parametrize(("number", "size"), [(20_000, 0), (5_000, 10_000)])
async def test_what_a_run_holds_in_memory_does_not_grow_with_what_there_is(site: Site, number: int, size: int) -> None:
    """At most 250 MB, whatever is stored and however large events are, also when their files are put together."""
    times = [NOON - timedelta(days=day % 3 if not size else 0) for day in range(number)]
    many = [cancelled(f"o{count}", time, more=os.urandom(size // 2).hex()) for count, time in enumerate(times)]
    at_once = 100 if size else 500
    for half in (many[: number // 2], many[number // 2 :]):
        await site.put(*(half[start : start + at_once] for start in range(0, len(half), at_once)))
        run = site.start(measured_run.__file__)
        told, words = await asyncio.to_thread(run.communicate, timeout=240)
        assert run.returncode == 0, words
        assert int(told.splitlines()[-1]) <= 250 * 1024, told
    assert len(site.rows("curated/order_cancelled")) == number


async def test_what_is_wrong_with_the_database_is_said_in_a_line(site: Site) -> None:
    """No such table, no right to it, nobody there: each ends the run with what to do, and writes no event."""
    address = site.admin_url.rpartition("@")[2]
    connection = await asyncpg.connect(site.admin_url)
    await connection.execute("DROP ROLE IF EXISTS stranger; CREATE ROLE stranger LOGIN PASSWORD 'x'")
    site.admin_url, admin_url = f"postgresql://stranger:x@{address}", site.admin_url
    await says(site, "or as one that may read")
    site.admin_url = admin_url
    await connection.execute("ALTER TABLE raw.events RENAME TO elsewhere; DROP ROLE stranger")
    await connection.close()
    await says(site, "start the flow with its spec.analytics")
    site.admin_url = "postgresql://postgres:x@127.0.0.1:1/shop"
    await says(site, "127.0.0.1:1")
    assert site.rows("raw") == []


async def test_a_flow_that_cannot_be_read_is_named(site: Site) -> None:
    """The line says which file it is about."""
    site.flow = site.folder / "nowhere.yaml"
    await says(site, f"{site.flow}: cannot be read")


async def test_what_is_stored_is_read_in_pieces_that_rows_and_bytes_bound(site: Site) -> None:
    """Whole batches of one to three events, in order and without a gap, at most one batch over the bound."""
    await site.put(*[[cancelled(f"o{number}-{n}") for n in range(number)] for number in (1, 3, 1, 2)])
    assert await pieces(site, rows=2, size=10**9) == [4, 3]
    assert await pieces(site, rows=10**9, size=1) == [1, 3, 1, 2]
    assert await pieces(site, rows=10**9, size=10**9) == [7]


async def pieces(site: Site, rows: int, size: int) -> list[int]:
    """Read all that is stored in pieces; return how many rows each has."""
    connection = await asyncpg.connect(site.admin_url, server_settings={"search_path": "raw"})
    stored, position, found = StoredEvents(connection), 0, []
    while (piece := await stored.after(position, rows, size)).num_rows:
        position = pc.max(piece["batch"]).as_py()
        found.append(piece.num_rows)
    await connection.close()
    return found


async def says(site: Site, words: str) -> None:
    """Run the analytics, which has to end with one line that holds these words."""
    refused = await asyncio.to_thread(site.run)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1), refused.stderr
    assert words in refused.stderr
