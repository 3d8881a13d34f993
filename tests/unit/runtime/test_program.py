"""A program that handles no events answers for its health and metrics while it works, and heeds what services heed."""

import asyncio
import logging
import os
import signal

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Gauge

from orderflow_cli.servers.ports import free_port
from orderflow_model import environment
from orderflow_runtime import MisconfiguredError
from orderflow_runtime.ending import Ending
from orderflow_runtime.http_server import HttpSettings
from orderflow_runtime.program import run_program
from support.flow.fleet import until


class Waiting:
    """Work that waits for its end."""

    def __init__(self) -> None:
        self.obstacle, self.hindrance = "", ""
        self.registry = CollectorRegistry()
        Gauge("waiting", "Whether it waits", registry=self.registry).set(1)

    async def run(self, ending: Ending) -> None:
        """Wait."""
        await ending.due.wait()


def listening() -> HttpSettings:
    """Where it listens."""
    return HttpSettings.read({environment.HTTP_PORT: str(free_port())})


async def answers(http: HttpSettings, path: str) -> int | None:
    """Give the status that a path is answered with; None where nobody listens yet."""
    try:
        async with aiohttp.request("GET", f"http://127.0.0.1:{http.port}{path}") as answer:
            return answer.status
    except aiohttp.ClientConnectionError:
        return None


async def until_ready(http: HttpSettings) -> None:
    """Wait until it is ready."""

    async def ready() -> bool:
        return await answers(http, "/readyz") == 200

    await until(ready, "ready", 5)


async def test_it_answers_while_it_works_and_ends_by_a_signal() -> None:
    """Ready until something is in its way; counted; one signal turns its logs up and down, another ends it."""
    work, http, root = Waiting(), listening(), logging.getLogger()
    before = root.level
    running = asyncio.create_task(run_program("erp", work, Ending(), http, "ERROR"))
    await until_ready(http)
    assert [await answers(http, path) for path in ("/livez", "/metrics")] == [200, 200]
    work.obstacle = "its broker is away"
    assert [await answers(http, path) for path in ("/livez", "/readyz")] == [200, 503]
    try:
        for level in (logging.DEBUG, logging.ERROR):
            os.kill(os.getpid(), signal.SIGUSR1)
            await until(lambda level=level: root.level == level, f"level {level}", 5)
    finally:
        root.setLevel(before)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running, 5)


async def test_a_port_that_is_taken_is_told_before_any_work() -> None:
    """By the variable that names it, and nothing is begun."""
    http = listening()
    first = asyncio.create_task(run_program("erp", Waiting(), Ending(), http, "INFO"))
    await until_ready(http)
    with pytest.raises(MisconfiguredError, match=environment.HTTP_PORT):
        await run_program("erp", Waiting(), Ending(), http, "INFO")
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
