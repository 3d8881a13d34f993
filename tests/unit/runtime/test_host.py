"""Several services in one process: each is told of by itself, and all end together."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orderflow_cli.servers.ports import free_port
from orderflow_model import environment
from orderflow_model.loading.load import load_flow
from orderflow_model.service_part import service_config
from orderflow_runtime import process
from orderflow_runtime.app import EX_CONFIG
from orderflow_runtime.core.event_log import LogRefuses, LogUnavailable
from orderflow_runtime.dispatch.effects import Clock
from orderflow_runtime.host import HostedService, run
from orderflow_runtime.http_server import HttpSettings
from orderflow_runtime.settings import Settings
from orderflow_runtime.testing.memory_log import MemoryLog
from orderflow_runtime.worker import worker
from support.flow.fleet import until
from support.flow.orders import SHOP
from support.runtime.running import Bench
from support.runtime.sample_service import Put, sample_config, sample_service

METRICS_PORT = free_port()


class Hosted:
    """A service in a shared process, over a cluster and a schema in memory of its own."""

    def __init__(self, name: str, **parts: Any) -> None:
        self.bench = Bench(sample_config(name=name))
        self.port = free_port()
        env = {environment.HTTP_PORT: str(self.port), environment.METRICS_PORT: str(METRICS_PORT)}
        settings = Settings(self.bench.config, env)
        service = replace(sample_service(self.bench.script, self.bench.outside, **parts), name=name)
        topics = [channel.topic for channel in self.bench.config.subscribes]
        log = MemoryLog(self.bench.cluster, self.bench.config.group, topics, self.bench.faults)
        self.hosted = HostedService(service, settings, log, log, self.bench.store, HttpSettings.read(settings.env))


async def get(port: int, path: str, seconds: float = 5) -> tuple[int, str]:
    """Ask; status 0 while nobody answers."""
    timeout = aiohttp.ClientTimeout(seconds)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as http, http.get(f"http://127.0.0.1:{port}{path}") as answer:
            return answer.status, await answer.text()
    except (aiohttp.ClientError, TimeoutError):
        return 0, ""


async def until_status(port: int, path: str, status: int) -> None:
    """Wait for an answer."""

    async def there() -> bool:
        return (await get(port, path))[0] == status

    await until(there, f"{path} gives {status}", 15)


@asynccontextmanager
async def running(*services: Hosted) -> AsyncIterator["asyncio.Task[None]"]:
    """Run them in one process until the block ends, and then by a signal."""
    task = asyncio.create_task(run([one.hosted for one in services], Clock()))
    await until_status(services[0].port, f"/readyz/{services[0].hosted.name}", 200)
    try:
        yield task
    finally:
        if not task.done():
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(task, 15)


def openmetrics() -> str:
    """Ask for the metrics of the process, as Prometheus does."""
    accept = {"accept": "application/openmetrics-text"}
    with urlopen(Request(f"http://127.0.0.1:{METRICS_PORT}/metrics", headers=accept), timeout=5) as answer:
        return str(answer.read().decode())


async def test_each_service_has_its_port_and_api_and_does_its_own_work() -> None:
    """What one takes is handled by it alone; metrics are on neither port, for they have one of their own."""

    def api(name: str) -> Any:
        async def who(_: Any) -> Response:
            return JSONResponse(name)

        return lambda _: Starlette(routes=[Route("/who", who)])

    left, right = Hosted("left", app=api("left")), Hosted("right", app=api("right"))
    async with running(left, right):
        assert [await get(one.port, "/who") for one in (left, right)] == [(200, '"left"'), (200, '"right"')]
        left.bench.send(Put(thing="k", n=1))
        await left.bench.until(lambda: left.bench.done().get("k") == [1], "it is handled")
        assert right.bench.done() == {}
        assert (await get(left.port, "/metrics"))[0] == 404


async def test_a_request_whose_task_would_end_the_process_ends_nothing() -> None:
    """It is left behind by the endpoint; the service, and those beside it, are asked on."""
    left_behind: list[asyncio.Task[None]] = []

    async def end() -> None:
        raise SystemExit(3)

    async def leave(_: Any) -> Response:
        left_behind.append(asyncio.create_task(end()))
        return Response("left")

    left, right = Hosted("left", app=lambda _: Starlette(routes=[Route("/leave", leave)])), Hosted("right")
    async with running(left, right):
        assert (await get(left.port, "/leave"))[0] == 200
        (failed,) = await asyncio.gather(*left_behind, return_exceptions=True)
        assert "SystemExit" in str(failed)
        assert (await get(right.port, "/readyz"))[0] == 200


async def test_a_process_is_ready_when_all_are_and_tells_of_each() -> None:
    """One whose Kafka is away makes the process not ready and is named; asked for by itself, the other one is ready."""
    left, right = Hosted("left"), Hosted("right")
    right.bench.faults.add("start", *[LogUnavailable("no Kafka here")] * 6)
    async with running(left, right):
        status, words = await get(left.port, "/readyz")
        assert (status, words.startswith("right: "), "no Kafka here" in words) == (503, True, True), words
        assert await get(right.port, "/readyz/left") == (200, "ok")
        assert (await get(left.port, "/readyz/right"))[0] == 503
        assert (await get(left.port, "/readyz/nobody"))[0] == 404
        await until_status(left.port, "/readyz", 200)


async def test_a_handler_that_blocks_the_loop_fails_the_liveness_of_all() -> None:
    """Nobody is answered, on no port, while it does: that is what a probe gives up on, and starts the process anew."""
    left, right, let_go = Hosted("left"), Hosted("right"), threading.Event()

    async def block() -> None:
        let_go.wait(20)

    def alive() -> bool:
        with suppress(OSError), urlopen(f"http://127.0.0.1:{left.port}/livez", timeout=1):
            return True
        return False

    async with running(left, right):
        assert await asyncio.to_thread(alive)
        right.bench.script.pause = block
        right.bench.send(Put(thing="k", n=1))
        outside = ThreadPoolExecutor(1)
        asked = outside.submit(lambda: (time.sleep(1), alive(), let_go.set())[1])
        await right.bench.until(lambda: right.bench.done().get("k") == [1], "it goes on")
        assert asked.result() is False
        assert await asyncio.to_thread(alive)


async def test_a_stalled_service_is_told_apart_and_fails_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of one that does not end makes the process not alive, to be started anew, and says whose it is."""
    monkeypatch.setattr(process, "STALLED_AFTER_SECONDS", 0.1)
    left, right, gate = Hosted("left"), Hosted("right"), asyncio.Event()
    right.bench.script.pause = gate.wait  # type: ignore[assignment]  # a pause by hand
    async with running(left, right):
        right.bench.send(Put(thing="k", n=1))
        await until_status(left.port, "/livez", 503)
        assert await get(left.port, "/livez") == (503, "right: no progress")
        assert (await get(right.port, "/livez/left"), await get(left.port, "/livez/right")) == (
            (200, "ok"),
            (503, "no progress"),
        )
        gate.set()
        await until_status(left.port, "/livez", 200)


async def test_metrics_of_all_stand_once_with_a_label_that_says_whose() -> None:
    """One page, which a strict parser reads; what is the process's own, as its memory, stands there once."""
    left, right = Hosted("left"), Hosted("right")
    async with running(left, right):
        for one, count in ((left, 1), (right, 2)):
            for n in range(count):
                one.bench.send(Put(thing="k", n=n))
            await one.bench.until(lambda one=one, count=count: len(one.bench.done().get("k", ())) == count, "handled")
        page = await asyncio.to_thread(openmetrics)
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    handled = {s.labels["service"]: s.value for s in samples if s.name == "orderflow_events_processed_total"}
    assert handled == {"left": 1, "right": 2}
    assert all("service" in s.labels for s in samples if s.name.startswith("orderflow_"))
    assert [s.labels for s in samples if s.name == "process_resident_memory_bytes"] == [{}]


async def test_one_that_is_not_let_in_ends_all_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process does not live on as half of itself: it starts anew, with the Secrets as they are then."""
    monkeypatch.setattr(worker, "PATIENCE_SECONDS", 0.3)
    left, right = Hosted("left"), Hosted("right")
    right.bench.faults.add("start", *[LogRefuses("authentication failed")] * 1000)
    async with running(left, right) as task:
        with pytest.raises(LogRefuses) as refused:
            await asyncio.wait_for(task, 15)
    assert refused.value.__notes__ == ["service right"]
    await until_status(left.port, "/livez", 0)


_SPEAKING = """
import asyncio, logging, sys
from orderflow_runtime.observability import logs
from orderflow_runtime.tracing.span_queue import SpanQueue
logs.set_up("shop", "left,right", "info")
logs.write_apart("right", sys.argv[1])
def encode(spans, pause):
    logging.getLogger("spans").info("from a thread")
    return b""
async def work(name):
    logs.speaker.set(name)
    queue = SpanQueue(encode, lambda _: None)
    queue.start()
    queue.add(None)
    await asyncio.create_task(later())
    queue.close(5)
async def later():
    logging.getLogger("x").info("from a task")
async def main():
    await asyncio.gather(work("left"), work("right"))
    logging.getLogger("x").info("from nobody")
asyncio.run(main())
"""


def test_each_line_of_log_says_which_service_speaks_and_goes_where_that_is_told(tmp_path: Path) -> None:
    """What a service starts speaks as it, tasks and threads; one with a file of its own has its lines there alone."""
    file = tmp_path / "right.log"
    ran = subprocess.run([sys.executable, "-c", _SPEAKING, str(file)], capture_output=True, check=True)
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    own = [json.loads(line) for line in file.read_text().splitlines()]
    assert {(line["service"], line["message"]) for line in own} == {
        ("right", "from a task"),
        ("right", "from a thread"),
    }
    assert {(line["service"], line["message"]) for line in lines} == {
        ("left", "from a task"),
        ("left", "from a thread"),
        ("left,right", "from nobody"),
    }


@pytest.mark.parametrize(
    ("arguments", "env", "words"),
    [
        ([], {}, "name each service with the module that it runs"),
        (["order"], {}, "name each service with the module that it runs"),
        (["order=orderflow_order"], {}, "order: ORDERFLOW_CONFIG is not set"),
        (
            ["order=no_such_module"],
            {"CONFIG": "order"},
            "service order: it cannot share a process: No module",
        ),
        (["order=json"], {"CONFIG": "order"}, "json needs a function build(settings)"),
        (["payment=orderflow_payment"], {"CONFIG": "payment"}, "service payment: PAYMENT_PROVIDER_URL is not set"),
    ],
)
def test_what_cannot_run_in_a_shared_process_is_told_in_one_line(
    tmp_path: Path, arguments: list[str], env: dict[str, str], words: str
) -> None:
    """The service is named with what to mend, as the process's last words, and without a traceback."""
    flow = load_flow(SHOP)
    own = {}
    for service in env.values():
        file = tmp_path / f"{service}.json"
        file.write_text(service_config(flow, service).model_dump_json())
        own[environment.own_name(service, environment.CONFIG)] = str(file)
    command = [sys.executable, "-m", "orderflow_runtime.shared_process", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **own})
    assert ended.returncode in (1, EX_CONFIG)
    assert words in ended.stderr
    assert len(ended.stderr.splitlines()) == 1, ended.stderr


def test_a_module_that_runs_when_it_is_imported_is_told_what_to_write(tmp_path: Path) -> None:
    """It ends at once for want of variables that are there, under its service's name."""
    (tmp_path / "hasty.py").write_text(
        "from orderflow_runtime import Service, main\n"
        "def build(settings):\n    return Service(name='hasty')\n"
        "main(build)\n"
    )
    config = tmp_path / "hasty.json"
    config.write_text(service_config(load_flow(SHOP), "order").model_dump_json())
    own = {environment.own_name("hasty", environment.CONFIG): str(config), "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "orderflow_runtime.shared_process", "hasty=hasty"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **own})
    assert ended.returncode == EX_CONFIG
    last = ended.stderr.splitlines()[-1]
    assert "service hasty" in last
    assert 'if __name__ == "__main__":' in last


def test_a_services_own_variables_go_before_everyones_and_are_seen_by_it_alone() -> None:
    """Names with a dot are somebody's; the others are everyone's."""
    shared = {"A": "1", "order.A": "2", "order.B": "3", "payment.B": "4"}
    assert environment.own_environment("order", shared) == {"A": "2", "B": "3"}
    assert environment.own_environment("shipping", shared) == {"A": "1"}
