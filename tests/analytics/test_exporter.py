"""The lake's program in a cluster, run here with the very environment that its pod has, as its own role of Postgres."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientError, ClientSession
from deltalake import DeltaTable

from orderflow_analytics.exporter.rounds import LakeFailsError, Rounds
from orderflow_analytics.exporter.schedule import next_time
from orderflow_cli.servers.ports import free_port
from orderflow_model.loading.load import load_flow
from orderflow_model.postgres_uri import PostgresUri
from orderflow_operator.resources.build_context import BuildContext, Database
from orderflow_operator.resources.desired import desired
from orderflow_runtime.ending import Ending
from support.analytics import s3
from support.analytics.stored import Site, cancelled, ids
from support.flow.fleet import until

BUCKET = "lake"
KEYS = {"id": "key", "secret": "secret"}


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 with an empty bucket; gives its address."""
    for name in s3.KEYS:
        monkeypatch.delenv(name, raising=False)
    with s3.s3_with(BUCKET) as endpoint:
        yield endpoint


async def site_of(database: str, folder: Path, endpoint: str, bucket: str = BUCKET, **more: Any) -> Site:
    """A site whose resource names a lake in the store."""
    keys = {
        "accessKeyId": {"secretKeyRef": {"name": "store", "key": "id"}},
        "secretAccessKey": {"secretKeyRef": {"name": "store", "key": "secret"}},
    }
    lake = {"url": f"s3://{bucket}/events", "image": "i:1", "endpoint": endpoint, "credentials": keys}
    site = Site(database, folder, {"lake": lake, **more})
    await site.prepare()
    return site


def as_lake(site: Site) -> str:
    """The URL of the lake's role."""
    return PostgresUri.parse(site.admin_url).for_role("shop_lake", "only-for-tests").render()


@contextmanager
def pod(site: Site) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The container of the lake's Deployment as a process, and its address; what a node would fill in, is."""
    flow = load_flow(site.flow)
    objects = desired(flow, BuildContext(database=Database()))
    (made,) = [one for one in objects if (one["kind"], one["metadata"]["name"]) == ("Deployment", "shop-lake")]
    template = made["spec"]["template"]
    (container,) = template["spec"]["containers"]
    config, port = site.folder / "service.json", free_port()
    config.write_text(template["metadata"]["annotations"]["orderflow.dev/config"])
    env = {"PATH": "/usr/bin:/bin"}
    for one in container["env"]:
        secret = one.get("valueFrom", {}).get("secretKeyRef", {})
        env[one["name"]] = KEYS[secret["key"]] if secret.get("name") == "store" else one.get("value", "pod-0")
    del env["ORDERFLOW_METRICS_PORT"]  # metrics then stand beside health
    env |= {
        "ORDERFLOW_DATABASE_URL": as_lake(site),
        "ORDERFLOW_CONFIG": str(config),
        "ORDERFLOW_HTTP_PORT": str(port),
        "TMPDIR": str(site.folder),
    }
    command = [sys.executable, *container["command"][1:]]
    process = subprocess.Popen(command, env=env, cwd="/", stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=30)


async def asked(url: str) -> str:
    """What is answered there; nothing while nobody does."""
    try:
        async with ClientSession() as client, client.get(url) as answer:
            return await answer.text()
    except ClientError:
        return ""


async def test_the_pod_fills_the_lake_and_ends_when_it_is_told(database: str, tmp_path: Path, store: str) -> None:
    """By a role that may only read, from all that the resource says; it is ready, and ends at once, with 0."""
    site = await site_of(database, tmp_path, store)
    first = cancelled("o1")
    await site.put([first])
    with pod(site) as (process, url):
        await until(lambda: _answers(url, "/readyz", "ok"), "it is ready", 60)
        await until(lambda: _answers(url, "/metrics", "orderflow_lake_synced_timestamp_seconds"), "a run has ended", 90)
        options = {
            "aws_endpoint_url": store,
            "aws_allow_http": "true",
            "aws_access_key_id": "key",
            "aws_secret_access_key": "secret",
            "aws_region": "us-east-1",
        }
        table = await asyncio.to_thread(
            DeltaTable, f"s3://{BUCKET}/events/curated/order_cancelled", storage_options=options
        )
        assert ids((await asyncio.to_thread(table.to_pyarrow_table)).to_pylist()) == [first.id]
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 10) == 0


async def _answers(url: str, path: str, words: str) -> bool:
    return words in await asked(f"{url}{path}")


async def test_a_run_that_fails_says_why(database: str, tmp_path: Path, store: str) -> None:
    """The pod is not ready, in the words of the store."""
    site = await site_of(database, tmp_path, store, bucket="nowhere")

    with pod(site) as (_, url):
        await until(lambda: _answers(url, "/readyz", "nowhere"), "it says why", 90)


async def test_the_lakes_role_may_read_what_is_stored_and_no_more(database: str, tmp_path: Path) -> None:
    """It deletes nothing, but has days dropped that the lake has; what services and the sink store is closed to it."""
    site = await site_of(database, tmp_path, "http://127.0.0.1:1")
    await site.put([cancelled("o1")])
    role = await asyncpg.connect(as_lake(site))
    try:
        assert await role.fetchval("SELECT count(*) FROM raw.events") == 1
        assert await role.fetchval("SELECT raw.drop_days(1, '{}', 0)") == 0
        for refused in (
            "DELETE FROM raw.events",
            "INSERT INTO raw.events (type) VALUES ('X')",
            "DROP TABLE raw.events",
            "SELECT * FROM raw.inbox",
            'SELECT * FROM "order".orders',
            "SELECT raw.add_days()",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await role.execute(refused)
    finally:
        await role.close()


async def test_what_fails_three_times_ends_the_program_with_its_words(tmp_path: Path) -> None:
    """So the platform starts it anew after growing waits; a run that ends well in between begins the count anew."""
    script = tmp_path / "run.py"
    script.write_text(
        "import pathlib, sys\nat = pathlib.Path(sys.argv[1])\n"
        "n = len(at.read_text()) if at.exists() else 0\nat.write_text('x' * (n + 1))\n"
        "sys.exit(0 if n == 2 else 'orderflow analytics: the store is away')\n"
    )
    command = [sys.executable, str(script), str(tmp_path / "count")]
    rounds = Rounds({}, None, time.time, pause=0.01, command=command)
    with pytest.raises(LakeFailsError, match=r"^the store is away$"):
        await asyncio.wait_for(rounds.run(Ending()), 60)
    assert (tmp_path / "count").read_text() == "x" * 6


async def test_what_is_held_up_is_not_told_to_be_in_the_lake(tmp_path: Path) -> None:
    """A run that ends well and says that it could not reach all leaves the time of the last that could."""
    script, seconds = tmp_path / "run.py", iter(range(1, 100))
    script.write_text(
        "import pathlib, sys\nat = pathlib.Path(sys.argv[1])\n"
        "n = len(at.read_text()) if at.exists() else 0\nat.write_text('x' * (n + 1))\n"
        "print('raw: 0 events' if n == 0 else 'held up: 3 events')\nsys.exit('away' if n > 2 else 0)\n"
    )
    command = [sys.executable, str(script), str(tmp_path / "count")]
    rounds = Rounds({}, None, lambda: float(next(seconds)), pause=0.01, command=command)
    with pytest.raises(LakeFailsError):
        await asyncio.wait_for(rounds.run(Ending()), 60)
    assert rounds.registry.get_sample_value("orderflow_lake_synced_timestamp_seconds") == 1


@pytest.mark.parametrize(
    ("schedule", "due"),
    [
        ("* * * * *", "2026-02-28T12:01"),
        ("*/15 * * * *", "2026-02-28T12:15"),
        ("0 3 * * *", "2026-03-01T03:00"),
        ("30 11-13/2 * * *", "2026-02-28T13:30"),
        ("0 0 29 2 *", "2028-02-29T00:00"),
        ("0 0 * * 1", "2026-03-02T00:00"),
        ("0 0 13 * 0", "2026-03-01T00:00"),
        ("5 4 1,15 */6 *", "2026-07-01T04:05"),
    ],
)
def test_a_schedule_is_read_as_cron_reads_it(schedule: str, due: str) -> None:
    """The next minute that all fields name, in UTC; two fields of days hold each by itself."""
    noon = datetime(2026, 2, 28, 12, 0, 30, tzinfo=UTC)
    assert next_time(schedule, noon) == datetime.fromisoformat(f"{due}:00+00:00")
