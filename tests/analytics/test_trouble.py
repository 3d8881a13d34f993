"""Runs that are killed, and servers that refuse, are slow or break off: afterwards every count is exact."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest
from deltalake import DeltaTable

from support.analytics.s3 import KEYS, s3_with
from support.analytics.stored import Site, Stored, cancelled, ids, ran, refunded
from support.analytics.toxiproxy import Proxy, toxiproxy
from support.tools.portion import Portion

PROJECT = Path(__file__).parents[2] / "analytics" / "shop"
TURNS = 30
A_RUN_SECONDS = 8.0
"""About how long a run takes whose marts are made."""
TABLES = ("raw", "quarantine", "curated/order_cancelled", "curated/payment_refunded")
TROUBLES = ("refusing", "slow", "narrow", "cut", "reset")


def some(turn: int) -> tuple[list[Stored], list[Stored]]:
    """Return events that fit and one that does not, each a batch."""
    fits = [cancelled(f"o{turn}-{number}") for number in range(20)] + [refunded(f"o{turn}", 1)]
    return fits, [cancelled(f"x{turn}", reason="WEATHER")]


@pytest.mark.timeout(900)
async def test_a_run_that_is_killed_at_random_leaves_nothing_torn_or_doubled(
    database: str, tmp_path: Path, chaos: Portion
) -> None:
    """While it starts, exports, curates, has dbt build or publishes; the run after has all, and marts of all."""
    site, given, refused = Site(database, tmp_path, {"models": str(PROJECT)}), 0, 0
    await site.prepare()
    for turn in chaos.turns(range(TURNS)):
        batches = some(turn)
        await site.put(*batches)
        given, refused = given + sum(map(len, batches)), refused + 1
        run = site.start()
        await asyncio.sleep(Random(turn).uniform(0.5, A_RUN_SECONDS))
        run.send_signal(signal.SIGKILL)
        await asyncio.to_thread(run.communicate)
    await ran(site)
    assert len(site.rows("raw")) == len(set(ids(site.rows("raw")))) == given
    assert len(site.rows("quarantine")) == refused
    quality = site.rows("serving/event_quality")
    assert (sum(row["events"] for row in quality), sum(row["refused"] for row in quality)) == (given, refused)


@pytest.fixture
def proxies(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Proxy]]:
    """Proxies before Postgres and an S3 with an empty bucket, by which the site's runs go."""
    database = urlsplit(site.admin_url)
    with (
        s3_with("lake") as endpoint,
        toxiproxy(postgres=f"127.0.0.1:{database.port}", s3=urlsplit(endpoint).netloc) as proxies,
    ):
        by_proxy = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxies['s3'].port}", "AWS_ALLOW_HTTP": "true"}
        for name, value in (KEYS | by_proxy).items():
            monkeypatch.setenv(name, value)
        site.place = "s3://lake/events"
        yield proxies


def trouble(proxy: Proxy, kind: str, random: Random) -> None:
    """Begin a trouble of a kind."""
    match kind:
        case "refusing":
            proxy.refuse()
        case "slow":
            proxy.spoil("latency", latency=100, jitter=100)
        case "narrow":
            proxy.spoil("bandwidth", rate=20)
        case "cut":
            proxy.spoil("limit_data", bytes=random.randrange(100, 5_000))
        case "reset":
            proxy.spoil("reset_peer", timeout=random.randrange(500))


@pytest.mark.timeout(900)
async def test_servers_in_trouble_cost_a_run_and_no_event(
    site: Site, proxies: dict[str, Proxy], chaos: Portion
) -> None:
    """Postgres or S3 refuse, are slow, cut or reset: a run ends well or with one line, and loses nothing."""
    direct, given = site.admin_url, []
    parts = urlsplit(direct)
    who = parts.netloc.rpartition("@")[0]
    through = parts._replace(netloc=f"{who}@127.0.0.1:{proxies['postgres'].port}").geturl()
    for turn in chaos.turns(range(TURNS)):
        random, proxy = Random(turn), proxies["s3" if turn % 20 < 10 else "postgres"]
        fits, unfit = some(turn)
        await site.put(fits, unfit)
        given += fits + unfit
        site.admin_url = through
        run = site.start()
        site.admin_url = direct
        await asyncio.sleep(random.uniform(0, 2.5))
        trouble(proxy, TROUBLES[(turn + turn // 10) % len(TROUBLES)], random)
        await asyncio.sleep(random.uniform(0.5, 2))
        proxy.heal()
        _, words = await asyncio.to_thread(run.communicate, timeout=240)
        assert (run.returncode, words.count("\n")) in ((0, 0), (1, 1)), words
    site.admin_url = through
    await ran(site)
    rows = {
        table: DeltaTable(f"{site.place}/{table}").to_pyarrow_table().to_pylist() for table in ("raw", "quarantine")
    }
    taken = [
        row
        for table in ("order_cancelled", "payment_refunded")
        for row in DeltaTable(f"{site.place}/curated/{table}").to_pyarrow_table().to_pylist()
    ]
    assert ids(rows["raw"]) == sorted(one.id for one in given)
    assert ids([*taken, *rows["quarantine"]]) == sorted(one.id for one in given)


FILLED = """
set -e
mount -t tmpfs -o size=160k none "$LAKE"
set +e
"$@"; echo "ended with $?"
mount -o remount,size=64m "$LAKE"
"$@"; echo "ended with $?"
cp -r "$LAKE" "$KEPT"
"""
"""Runs a command on a lake that has no room, then once more when it has; keeps what is in it then."""
MOUNTING = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]


@pytest.mark.skipif(
    subprocess.run([*MOUNTING, "true"], capture_output=True, check=False).returncode != 0,
    reason="no mount namespaces here (unshare --mount)",
)
async def test_a_full_disk_ends_a_run_with_a_line_and_the_next_has_all(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be written whole is not in the lake; when there is room again, everything is, once."""
    events = [cancelled(f"o{number}", more=os.urandom(400).hex()) for number in range(400)]
    await site.put(*(events[start : start + 50] for start in range(0, 400, 50)))
    site.lake.mkdir()
    kept = site.folder / "kept"
    monkeypatch.setenv("LAKE", str(site.lake))
    monkeypatch.setenv("KEPT", str(kept))
    both = site.start(by=[*MOUNTING, "sh", "-c", FILLED, "filled"])
    told, words = await asyncio.to_thread(both.communicate, timeout=240)
    assert told.count("ended with 1") == told.count("ended with 0") == 1, told + words
    assert "Traceback" not in words
    *_, last = words.splitlines()  # before it a thread of delta-rs tells of its own end
    assert last.startswith("orderflow analytics: ")
    assert "No space left on device" in last
    assert ids(DeltaTable(kept / "raw").to_pyarrow_table().to_pylist()) == sorted(one.id for one in events)
