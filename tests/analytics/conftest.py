"""A site for each test: a database with a sink's table, and an empty lake."""

from pathlib import Path

import pytest

from support.analytics.stored import Site


@pytest.fixture
async def site(database: str, tmp_path: Path) -> Site:
    """A sink's table and an empty lake."""
    site = Site(database, tmp_path)
    await site.prepare()
    return site
