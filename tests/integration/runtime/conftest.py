"""A sample flow of its own for each test: topics, schemas and roles on the shared servers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orderflow_cli.servers.kafka import Kafka
from support.runtime.real import Site, sample_flow


@pytest.fixture
async def site(kafka: Kafka, database: str, flow_name: str, scratch: Path) -> AsyncIterator[Site]:
    """Topics and schemas, and nothing running."""
    (folder := scratch / flow_name).mkdir()
    site = Site(sample_flow(flow_name), kafka.bootstrap, database, folder)
    await site.fleet.prepare()
    yield site
    await site.close()
