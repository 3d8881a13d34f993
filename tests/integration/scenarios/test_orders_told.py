"""What can be told of one order afterwards, by `orderflow trace` and its timeline: all of it, from Postgres alone."""

import asyncio
import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from orderflow_cli.exit_codes import ExitCode
from orderflow_shop.events import ShipmentCreated
from support.flow.cli_process import orderflow
from support.flow.fleet import Fleet, until
from support.flow.orders import Shop, order, order_id_of
from support.records import raw_events

HAPPY = (
    "ORDER_CREATED STOCK_RESERVED PAYMENT_PROCESSED INVENTORY_UPDATED SHIPMENT_CREATED ORDER_COMPLETED".split()  # noqa: SIM905 - one line
)

Line = dict[str, Any]


async def told(fleet: Fleet, key: str) -> list[Line]:
    """The lines of `orderflow trace`, in order of time."""
    arguments = ("trace", key, "--database", fleet.admin_url, "--json")
    ended = await asyncio.to_thread(orderflow, *arguments, cwd=fleet.folder)
    assert ended.returncode == 0, ended.stdout
    lines: list[Line] = json.loads(ended.stdout)["lines"]
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    return lines


def taken(lines: list[Line]) -> set[tuple[str, str]]:
    """Who took in what."""
    return {(line["service"], line["type"]) for line in lines if line["what"] == "TAKEN"}


async def until_told(fleet: Fleet, key: str, *wanted: tuple[str, str]) -> list[Line]:
    """The lines, when these (service, event) have been taken in: others may be behind the order's end."""

    async def there() -> bool:
        return set(wanted) <= taken(await told(fleet, key))

    await until(there, f"{wanted} taken in", every=1)
    return await told(fleet, key)


async def test_every_event_of_an_order_is_told_with_who_took_it_in(shop: Shop) -> None:
    """The happy path: each event published once, taken in once by each of its subscribers, and later than published."""
    placed = await shop.place()
    await shop.until(placed)
    wanted = {(s.name, event) for s in shop.fleet.flow.spec.services for event in s.subscribes if event in HAPPY}
    lines = await until_told(shop.fleet, placed, *wanted)
    assert taken(lines) == wanted
    published = {line["type"]: line["at"] for line in lines if line["what"] == "PUBLISHED"}
    assert list(published) == HAPPY
    assert sum(line["what"] == "TAKEN" for line in lines) == len(wanted)
    for line in lines:
        if line["what"] == "TAKEN":
            assert at(line["at"]) >= at(published[line["type"]]).replace(microsecond=0)
    calls = [line for line in lines if line["type"] == "call/capture"]
    assert [(line["service"], line["what"]) for line in calls] == [("payment", "ANSWERED")]
    assert any(line["service"] == "order" and "COMPLETED" in line["detail"] for line in lines)


def at(text: str) -> datetime:
    """Read a line's time."""
    return datetime.fromisoformat(text)


async def test_a_lost_answer_and_the_way_back_are_told(shop: Shop) -> None:
    """A payment whose answer is lost is asked for again; an order that cannot be shipped is undone step by step."""
    placed = await shop.place(card="tok_unknown", country="XX")
    assert (await shop.until(placed))["state"] == "CANCELLED"
    lines = await until_told(shop.fleet, placed, ("order", "STOCK_RESTORED"), ("payment", "ORDER_CANCELLED"))
    captured = [line["what"] for line in lines if line["type"] == "call/capture"]
    assert set(captured[:-1]) == {"UNKNOWN"}
    assert captured[-1] == "ANSWERED"
    assert [line["what"] for line in lines if line["type"] == "call/refund"] == ["ANSWERED"]
    undone = [line["type"] for line in lines if line["what"] == "PUBLISHED"]
    assert undone[-3:] == ["ORDER_CANCELLED", "PAYMENT_REFUNDED", "STOCK_RESTORED"]
    assert "shop" not in json.dumps([line["detail"] for line in lines if line["what"] == "TAKEN"])


async def test_failed_attempts_waits_and_the_end_of_a_stray_event_are_told(shop: Shop) -> None:
    """An event of an order nobody placed: each attempt with its reason, the event behind it, and both deaths."""
    wanted = order()
    key = order_id_of(wanted)
    for tracking in ("FIRST", "SECOND"):
        raw_events.send(shop.fleet, ShipmentCreated(order_id=key, tracking=tracking))

    async def dead() -> bool:
        query = 'SELECT count(*) AS n FROM "order".dead_letters WHERE key = $1'
        return bool((await shop.fleet.fetch(query, key))[0]["n"] == 2)

    await until(dead, "both are given up")
    lines = await told(shop.fleet, key)
    seen = Counter(line["what"] for line in lines if line["service"] == "order")
    assert seen["FAILED"] == 4
    assert seen["DEAD"] == 2
    assert seen["WAITS"] == 1
    assert all("never placed" in line["detail"] for line in lines if line["what"] in ("FAILED", "DEAD"))


async def test_an_event_that_comes_through_at_last_is_told(shop: Shop) -> None:
    """An event ahead of its order fails, waits, and is handled when the order is there; the timeline tells it too.

    Events of the order that come meanwhile wait behind it, and are handled at their first attempt.
    """
    wanted = order()
    key = order_id_of(wanted)
    raw_events.send(shop.fleet, ShipmentCreated(order_id=key, tracking="EARLY"))

    async def failed() -> bool:
        query = 'SELECT count(*) AS n FROM "order".journal WHERE key = $1'
        return bool((await shop.fleet.fetch(query, key))[0]["n"])

    await until(failed, "a first attempt", every=0.02)
    assert await shop.place_all([wanted]) == [key]
    assert (await shop.until(key))["state"] == "COMPLETED"
    whats = [line["what"] for line in await told(shop.fleet, key) if line["type"] == "SHIPMENT_CREATED"]
    assert whats.index("FAILED") < whats.index("HANDLED")
    timeline = await shop.whole_timeline(key)
    assert [entry["at"] for entry in timeline["entries"]] == sorted(entry["at"] for entry in timeline["entries"])
    late = [entry for entry in timeline["entries"] if entry["what"] == "HANDLED"]
    assert [entry["event"] for entry in late if entry["attempt"] > 1] == ["SHIPMENT_CREATED"]
    decided = [entry for entry in timeline["entries"] if entry["what"] == "STOCK_RESERVED"]
    assert all(at(entry["taken"]) > at(entry["at"]).replace(microsecond=0) for entry in decided)


async def test_an_unknown_order_is_refused_in_words(fleet: Fleet, tmp_path: Path) -> None:
    """Nothing is known of it, and the command says so; a database that is away is said too."""
    ended = await asyncio.to_thread(orderflow, "trace", "nobody", "--database", fleet.admin_url, cwd=tmp_path)
    assert ended.returncode == ExitCode.UNKNOWN
    assert "nothing is known of nobody" in ended.stdout
    ended = await asyncio.to_thread(orderflow, "trace", "x", "--database", "postgresql://127.0.0.1:1/x", cwd=tmp_path)
    assert ended.returncode == 1
    assert "cannot be asked" in ended.stdout


async def test_nothing_of_a_person_is_told_of_a_poisoned_order(shop: Shop) -> None:
    """An order whose address is no address dies at both who take it in; neither reasons, journals nor logs quote it."""
    created = raw_events.created()
    secrets = ("ursula at nowhere", "Ursula Unsaid", "Silent Street 3")
    value = created.model_dump(mode="json", by_alias=True)
    value["customer"] |= {"email": secrets[0], "name": secrets[1]}
    value["shipTo"]["street"] = secrets[2]
    raw_events.send(shop.fleet, created, value=json.dumps(value).encode())

    async def reasons() -> list[str]:
        queries = [
            f"SELECT reason FROM {service}.{table} WHERE key = $1"  # noqa: S608 - fixed names
            for service in ("inventory", "notification")
            for table in ("dead_letters", "journal")
        ]
        return [row["reason"] for query in queries for row in await shop.fleet.fetch(query, created.order_id)]

    async def told_by_all() -> bool:
        return len(await reasons()) == 4

    await until(told_by_all, "both gave it up")
    logs = "".join(path.read_text() for path in shop.fleet.folder.glob("*.log"))
    assert "ORDER_CREATED/customer/email: String should match pattern" in logs
    for words in (*await reasons(), logs):
        assert not [secret for secret in secrets if secret in words]
