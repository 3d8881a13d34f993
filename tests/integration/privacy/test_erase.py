"""`orderflow privacy` on a running flow: a person is gone from everywhere, everybody else is there, sagas end."""

import asyncio
import json
from pathlib import Path

import asyncpg

from support.flow.fleet import Fleet
from support.flow.oracles import judge, until_at_rest
from support.flow.orders import Shop
from support.flow.people import everything, flow_file, order_of, places_of, privacy, texts_of

PEOPLE, ORDERS = 20, 200
ERASED, WAITING = 7, 99
PLAIN = {"order.orders", "notification.contacts"}
"""Where services keep what they read of people, so that it stands there unsealed."""


async def test_a_person_is_gone_from_everywhere_and_all_others_are_there(
    fleet: Fleet, shop: Shop, tmp_path: Path
) -> None:
    """200 orders of 20 people, one erased: not a byte of him anywhere, all of the others; the log had none."""
    cards = ("tok_ok", "tok_declined", "tok_ok", "tok_ok")
    placed = await shop.place_all([order_of(n % PEOPLE, f"k{n}", card=cards[n % 4]) for n in range(ORDERS)])
    await until_at_rest(fleet, ORDERS)
    file, subject = str(flow_file(fleet, tmp_path)), texts_of(ERASED)[0]
    before = await everything(fleet)
    assert {place for number in range(PEOPLE) for place in places_of(number, before)} == PLAIN

    said = json.loads(privacy(fleet, tmp_path, "erase", subject, file).stdout)
    assert (said["records"], said["erased"]["rows"]["order"], said["key"]) == (10, 10, True)
    assert said["erased"]["audit_head"] == ""
    assert await everything(fleet) == before, "nothing is done without --yes"

    done = privacy(fleet, tmp_path, "erase", subject, file, "--yes", "--report", "report.json")
    assert done.returncode == 0, done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["clean"], report["key"], report["not_covered"] != []) == (True, False, True)
    assert {"the person's id", "/customer/email", "/shipTo/street", "/shipTo/city"} <= set(report["looked_for"])
    assert not [text for text in texts_of(ERASED) if text in done.stdout], "the report itself tells nothing"
    after = await everything(fleet)
    assert places_of(ERASED, after) == []
    assert all(places_of(n, after) == places_of(n, before) for n in range(PEOPLE) if n != ERASED)
    assert (await shop.show(placed[ERASED]))["customer"]["email"] == "erased@erased.invalid"
    assert (await shop.show(placed[ERASED + 1]))["customer"]["email"] == texts_of(ERASED + 1)[1]

    again = privacy(fleet, tmp_path, "erase", subject, file, "--yes")
    assert (again.returncode, json.loads(again.stdout)["erased"]["keys"]) == (0, 0), again.stdout
    await shop.place_all([order_of(ERASED, "anew")])
    await until_at_rest(fleet, ORDERS + 1)
    assert set(places_of(ERASED, await everything(fleet))) == PLAIN, "who orders again is a new person"
    print(await judge(fleet))


async def test_a_person_with_runs_under_way_is_not_erased(fleet: Fleet, shop: Shop, tmp_path: Path) -> None:
    """What still waits would miss what it needs: nothing is done, and the order ends as it would have."""
    fleet.kill("payment-0")
    order = (await shop.place_all([order_of(WAITING, "waits")]))[0]
    file, subject = str(flow_file(fleet, tmp_path)), texts_of(WAITING)[0]
    refused = privacy(fleet, tmp_path, "erase", subject, file, "--yes")
    assert refused.returncode == 1
    assert order in refused.stdout
    fleet.start("payment")
    assert (await shop.until(order))["customer"]["email"] == texts_of(WAITING)[1]


async def test_killed_anywhere_an_erasure_is_whole_or_has_not_begun(fleet: Fleet, shop: Shop, tmp_path: Path) -> None:
    """Its sessions are ended while it works, again and again; then it is run to its end, and there is nothing left."""
    number, file = 50, str(flow_file(fleet, tmp_path))
    placed = await shop.place_all([order_of(number, f"cut{n}") for n in range(3)])
    for order in placed:
        await shop.until(order)
    subject = texts_of(number)[0]
    for wait in (0.5, 1.0, 1.5):
        running = asyncio.create_task(asyncio.to_thread(privacy, fleet, tmp_path, "erase", subject, file, "--yes"))
        await asyncio.sleep(wait)
        await _end_sessions(fleet)
        await running
        keys, plain = await _kept_of(fleet, placed)
        assert (keys, plain) in ((3, 3), (0, 0)), "all of it or nothing"
    done = privacy(fleet, tmp_path, "erase", subject, file, "--yes")
    assert done.returncode == 0, done.stdout
    assert places_of(number, await everything(fleet)) == []


async def test_the_trail_tells_of_what_was_done_to_it(fleet: Fleet, tmp_path: Path) -> None:
    """Nobody changes it by a statement; by force it can be, and then it says so."""
    file = str(flow_file(fleet, tmp_path))
    privacy(fleet, tmp_path, "erase", "nobody", file, "--yes")
    assert privacy(fleet, tmp_path, "audit", file, "--verify").returncode == 0
    connection = await asyncpg.connect(fleet.admin_url)
    try:
        for statement in ("UPDATE privacy.audit SET who = 'x'", "DELETE FROM privacy.audit"):
            try:
                await connection.execute(statement)
            except asyncpg.RaiseError:
                continue
            raise AssertionError(f"{statement} went through")
        await connection.execute("ALTER TABLE privacy.audit DISABLE TRIGGER keep_audit")
        await connection.execute("UPDATE privacy.audit SET who = 'somebody else' WHERE number = 1")
    finally:
        await connection.close()
    changed = privacy(fleet, tmp_path, "audit", file, "--verify")
    assert (changed.returncode, "entry 1 was changed" in changed.stdout) == (1, True)


async def _end_sessions(fleet: Fleet) -> None:
    """End the sessions of who came as the superuser, as the command does and no service."""
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user AND datname = $1"
    connection = await asyncpg.connect(fleet.admin_url)
    try:
        database = await connection.fetchval("SELECT current_database()")
        await connection.execute("SELECT 1")
        await connection.fetch(f"{query} AND pid <> pg_backend_pid()", database)
    finally:
        await connection.close()


async def _kept_of(fleet: Fleet, placed: list[str]) -> tuple[int, int]:
    """Count the record keys that have a person, and the orders that tell who."""
    records = await fleet.fetch("SELECT 1 FROM privacy.records WHERE record_key = ANY($1)", placed)
    query = """SELECT 1 FROM "order".orders WHERE order_id = ANY($1) AND customer ->> 'email' NOT LIKE '%invalid'"""
    return len(records), len(await fleet.fetch(query, placed))
