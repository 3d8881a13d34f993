"""The lake on S3: the same commands, the same promises."""

import asyncio
from collections.abc import Iterator

import pytest
from deltalake import DeltaTable

from support.analytics.s3 import KEYS, s3_with
from support.analytics.stored import Site, cancelled, ids, ran


@pytest.fixture
def s3(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 with an empty bucket, and a site whose lake is there; gives the lake's URL."""
    with s3_with("lake") as endpoint:
        for name, value in (KEYS | {"AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true"}).items():
            monkeypatch.setenv(name, value)
        site.place = "s3://lake/events"
        yield site.place


async def test_a_lake_on_s3_is_filled_once_whatever_dies(site: Site, s3: str) -> None:
    """Killed before and after a commit, then run twice: each event is there once, and the last run writes nothing."""
    first, second = cancelled("o1"), cancelled("o2")
    await site.put([first])
    await asyncio.to_thread(site.die, "before", 2)
    await site.put([second])
    await asyncio.to_thread(site.die, "after", 2)
    await ran(site)
    before = {table: DeltaTable(f"{s3}/{table}").version() for table in ("raw", "curated/order_cancelled")}
    await ran(site)
    assert {table: DeltaTable(f"{s3}/{table}").version() for table in before} == before
    for table in before:
        assert ids(DeltaTable(f"{s3}/{table}").to_pyarrow_table().to_pylist()) == sorted([first.id, second.id])


async def test_a_bucket_that_is_not_there_is_said_in_words(site: Site, s3: str) -> None:
    """The run ends with the store's own words, on one line without colours."""
    await site.put([cancelled("o1")])
    site.place = "s3://nowhere/events"
    refused = await asyncio.to_thread(site.run)
    assert refused.returncode == 1
    assert refused.stderr.startswith("orderflow analytics:")
    assert (refused.stderr.count("\n"), "\x1b" in refused.stderr) == (1, False)
    assert "nowhere" in refused.stderr
