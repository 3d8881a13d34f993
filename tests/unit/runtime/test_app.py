"""The composition root: what a process refuses to start with, what it serves, and how it ends."""

import asyncio
import logging
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from orderflow_cli.servers.ports import free_port
from orderflow_model import environment
from orderflow_model.service_config import Channel
from orderflow_runtime import app, process
from orderflow_runtime.app import EX_CONFIG, check_matrix, main
from orderflow_runtime.core.event_log import LogUnavailable
from orderflow_runtime.core.store import Conflict, StoreUnavailable
from orderflow_runtime.dispatch.effects import Clock
from orderflow_runtime.host import HostedService, run
from orderflow_runtime.http_server import HttpSettings
from orderflow_runtime.settings import MisconfiguredError, Settings
from orderflow_runtime.testing.memory_log import MemoryLog
from support.flow.fleet import until
from support.runtime.running import Bench
from support.runtime.sample_service import Do, Put, Script, sample_config, sample_service


def settings(**changes: Any) -> Settings:
    """What the sample service is told."""
    env = {environment.HTTP_PORT: str(free_port()), environment.KAFKA_BOOTSTRAP: "127.0.0.1:1"}
    return Settings(sample_config().model_copy(update=changes), env)


def test_a_matching_matrix_is_accepted() -> None:
    """Code and resource agree."""
    check_matrix(sample_service(Script()), sample_config())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"subscribes": (Channel(event="PUT", topic="t"),)}, r"handles \['PAT'\]"),
        (
            {"subscribes": (*sample_config().subscribes, Channel(event="NEW", topic="t"))},
            r"subscribes.*lists \['NEW'\]",
        ),
        ({"publishes": ()}, r"publishes \['DONE'\]"),
        ({"publishes": (Channel(event="OTHER", topic="t"),)}, r"lists \['OTHER'\]"),
    ],
)
def test_a_matrix_that_differs_is_refused_by_name(change: dict[str, Any], named: str) -> None:
    """The message names what the code has and the resource lacks, or the other way round."""
    with pytest.raises(MisconfiguredError, match=named):
        check_matrix(sample_service(Script()), sample_config().model_copy(update=change))


def test_an_app_that_would_not_be_served_is_refused() -> None:
    """An API is served with commands alone: a service that has it without them says what it lacks."""
    service = replace(sample_service(Script()), commands={}, app=lambda _: Starlette())
    with pytest.raises(MisconfiguredError, match="its app is not served, for it has no commands"):
        check_matrix(service, sample_config())


def test_main_ends_with_its_own_code_when_configured_wrongly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A variable that is missing, a file that cannot be read, a matrix that differs: each says what to change."""
    file = tmp_path / "service.json"
    monkeypatch.setattr(app.logs, "set_up", lambda *_: None)

    def says(words: str) -> None:
        with pytest.raises(SystemExit) as ended:
            main(lambda _: sample_service(Script()))
        assert ended.value.code == EX_CONFIG
        assert words in capsys.readouterr().err

    monkeypatch.delenv(environment.CONFIG, raising=False)
    says(f"{environment.CONFIG} is not set")
    monkeypatch.setenv(environment.CONFIG, str(file))
    says("No such file")
    file.write_text("{}")
    says("Field required")
    file.write_text(sample_config().model_copy(update={"publishes": ()}).model_dump_json(by_alias=True))
    says("publishes ['DONE']")
    file.write_text(sample_config().model_dump_json(by_alias=True))
    monkeypatch.delenv(environment.DATABASE_URL, raising=False)
    says(f"{environment.DATABASE_URL} is not set")
    monkeypatch.setenv(environment.DATABASE_URL, "postgresql://localhost/x?channel_binding=require")
    says(f"{environment.DATABASE_URL}: character 26: parameter channel_binding has a value that is not supported")
    monkeypatch.setenv(environment.DATABASE_URL, "postgresql://localhost/x")
    monkeypatch.delenv(environment.KAFKA_BOOTSTRAP, raising=False)
    says(f"{environment.KAFKA_BOOTSTRAP} is not set")


def test_main_runs_what_it_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service without subscriptions gets its membership from locks; the store is closed at the end."""
    file, seen = tmp_path / "service.json", []
    config = sample_config().model_copy(update={"subscribes": ()})
    file.write_text(config.model_dump_json(by_alias=True))
    for name, value in {
        environment.CONFIG: str(file),
        environment.DATABASE_URL: "postgresql://localhost/x",
        environment.KAFKA_BOOTSTRAP: "127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)

    async def note(hosted: list[HostedService], *_: object) -> None:
        for one in hosted:
            parts = (one.consumer, one.producer, one.store)
            seen.append((one.name, *(type(part).__name__ for part in parts)))

    monkeypatch.setattr(app, "run", note)
    monkeypatch.setattr(app.logs, "set_up", lambda *_: None)
    main(lambda _: replace(sample_service(Script()), handlers={}))
    assert seen == [("sample", "LockedShards", "KafkaLog", "PostgresStore")]


class Started:
    """The sample service run by `app.run` over the memory ports, ended by a signal."""

    def __init__(self, bench: Bench, told: Settings, **parts: Any) -> None:
        self.port = told.env[environment.HTTP_PORT]
        service = sample_service(bench.script, bench.outside, **parts)
        topics = [channel.topic for channel in told.config.subscribes]
        log = MemoryLog(bench.cluster, "g", topics, bench.faults)
        hosted = HostedService(service, told, log, log, bench.store, HttpSettings.read(told.env))
        self.task = asyncio.create_task(run([hosted], Clock(), told.env.get(environment.LOG_LEVEL, "INFO")))

    async def get(self, path: str, port: str = "") -> tuple[int, str]:
        """Ask the HTTP port, or another; status 0 while nobody answers."""
        url = f"http://127.0.0.1:{port or self.port}{path}"
        try:
            async with aiohttp.ClientSession() as http, http.get(url) as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientError:
            return 0, ""

    async def until_status(self, path: str, status: int) -> None:
        """Wait for an answer."""

        async def there() -> bool:
            return (await self.get(path))[0] == status

        await until(there, f"{path} gives {status}", 15)

    async def stop(self, number: int = signal.SIGTERM) -> None:
        """End it by a signal."""
        os.kill(os.getpid(), number)
        await asyncio.wait_for(self.task, 15)


async def test_metrics_are_not_where_the_api_is_when_they_have_a_port() -> None:
    """What is exposed of a service is its own interface; the other port serves metrics and nothing else."""
    bench, told, port = Bench(), settings(), str(free_port())
    told = replace(told, env={**told.env, environment.METRICS_PORT: port})
    started = Started(bench, told)
    await started.until_status("/readyz", 200)
    assert (await started.get("/metrics"))[0] == 404
    assert "orderflow_batch_size" in (await started.get("/metrics", port))[1]
    assert (await started.get("/readyz", port))[0] == 404
    await started.stop()


async def test_a_process_serves_health_metrics_and_its_own_api() -> None:
    """All on one port; SIGTERM ends it with everything published and closed."""
    bench, closed = Bench(), []

    async def close() -> None:
        closed.append(1)

    def api(intake: Any) -> Starlette:
        async def do(_: Any) -> JSONResponse:
            return JSONResponse(await intake.submit(Do("k", 5)))

        return Starlette(routes=[Route("/do", do)])

    started = Started(bench, settings(), app=api, close=close)
    await started.until_status("/readyz", 200)
    bench.send(Put(thing="k", n=1))
    assert (await started.get("/do")) == (200, "5")
    await bench.until(lambda: sorted(bench.done().get("k", ())) == [1, 5], "both results")
    assert (await started.get("/livez")) == (200, "ok")
    assert (await started.get("/nothing"))[0] == 404
    text = (await started.get("/metrics"))[1]
    assert 'orderflow_events_processed_total{event="PUT"} 1.0' in text
    assert 'orderflow_events_published_total{event="DONE"} 2.0' in text
    await started.stop()
    assert closed == [1]
    assert all(row.owner is None for row in bench.store.state.offsets.values())


@pytest.mark.parametrize(
    "stray", [asyncio.CancelledError(), SystemExit(3), GeneratorExit(), ValueError("bug")], ids=repr
)
async def test_an_endpoint_or_a_close_that_raises_anything_ends_no_process(stray: BaseException) -> None:
    """The request is answered with 500 and the next is served; what `close` makes of the end changes nothing of it."""

    async def close() -> None:
        raise stray

    def api(intake: Any) -> Starlette:
        async def fail(_: Any) -> JSONResponse:
            raise stray

        async def do(_: Any) -> JSONResponse:
            return JSONResponse(await intake.submit(Do("k", 5)))

        return Starlette(routes=[Route("/fail", fail), Route("/do", do)])

    started = Started(Bench(), settings(), app=api, close=close)
    await started.until_status("/readyz", 200)
    assert (await started.get("/fail"))[0] == 500
    assert await started.get("/do") == (200, "5")
    await started.stop()


async def test_a_signal_turns_the_logs_up_and_down() -> None:
    """A running process tells everything after SIGUSR1, and after another what it is configured to."""
    root, told = logging.getLogger(), settings()
    before = root.level
    started = Started(Bench(), replace(told, env=told.env | {environment.LOG_LEVEL: "ERROR"}))
    await started.until_status("/readyz", 200)
    try:
        for level in (logging.DEBUG, logging.ERROR):
            os.kill(os.getpid(), signal.SIGUSR1)
            await until(lambda level=level: root.level == level, f"level {level}", 5)
    finally:
        root.setLevel(before)
    await started.stop()


async def test_a_stalled_batch_fails_the_liveness_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that does not end makes the process not alive; waiting for Kafka does not."""
    monkeypatch.setattr(process, "STALLED_AFTER_SECONDS", 0.1)
    bench, gate = Bench(), asyncio.Event()
    bench.script.pause = gate.wait  # type: ignore[assignment]  # a pause by hand
    started = Started(bench, settings())
    await started.until_status("/readyz", 200)
    bench.send(Put(thing="k", n=1))
    await started.until_status("/livez", 503)
    gate.set()
    await started.until_status("/livez", 200)
    await started.stop(signal.SIGINT)


@pytest.mark.parametrize("error", [StoreUnavailable("away"), Conflict("deadlock")])
async def test_housekeeping_that_fails_is_done_later(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """It neither ends the process nor holds up its work."""
    monkeypatch.setattr(process, "_HOUSEKEEPING_SECONDS", 0.05)
    bench = Bench()
    bench.faults.add("rotate", error, error)
    bench.faults.add("read", error)
    started = Started(bench, settings())
    await started.until_status("/readyz", 200)
    await bench.until(lambda: bench.faults.seen.count("rotate") == 3, "the third time it is done")
    await started.stop()


async def test_a_process_waiting_for_kafka_can_be_stopped() -> None:
    """SIGTERM ends a process whose intake cannot be made yet."""
    bench = Bench()
    bench.faults.add("metadata", *[LogUnavailable("away")] * 100)
    started = Started(bench, settings())
    await bench.until(lambda: "metadata" in bench.faults.seen, "it tries")
    began = time.monotonic()
    await started.stop()
    assert time.monotonic() - began < 10


async def test_a_process_without_commands_needs_no_intake() -> None:
    """A service that only listens works without one."""
    bench = Bench()
    started = Started(bench, settings(), commands={})
    await started.until_status("/readyz", 200)
    assert "metadata" not in bench.faults.seen
    await started.stop()


async def test_a_part_that_fails_ends_the_whole_process() -> None:
    """A process does not live on as half of itself."""
    bench = Bench()
    bench.faults.add("due", ValueError("a bug"))
    started = Started(bench, settings())
    with pytest.raises(ValueError, match="a bug"):
        await asyncio.wait_for(started.task, 15)


def told_http(**seconds: int) -> Settings:
    """What the sample service is told, with seconds of its HTTP server."""
    told = settings()
    names = {"keep_alive": environment.HTTP_KEEP_ALIVE, "drain": environment.HTTP_DRAIN}
    return replace(told, env=told.env | {names[name]: str(value) for name, value in seconds.items()})


class Connection:
    """A client's one connection, kept open."""

    def __init__(self, port: str) -> None:
        self._port = port

    async def __aenter__(self) -> "Connection":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", int(self._port))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def get(self, path: str, *headers: str) -> tuple[int, str]:
        """Ask; give the status and the head of the answer, lower-case, or 0 where the connection is closed."""
        self._writer.write("\r\n".join([f"GET {path} HTTP/1.1", "host: x", *headers, "", ""]).encode())
        try:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
            await self._reader.readexactly(int(head.partition("content-length: ")[2].partition("\r")[0]))
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0, ""
        return int(head.split()[1]), head


async def test_an_idle_connection_is_kept_longer_than_load_balancers_keep_theirs() -> None:
    """By default more than the five seconds that cut a request off that is just on its way; as long as is told."""
    short = Started(Bench(), told_http(keep_alive=1))
    usual = Started(Bench(), settings())
    for started in (short, usual):
        await started.until_status("/livez", 200)
    async with Connection(short.port) as one, Connection(usual.port) as other:
        assert (await one.get("/livez"))[0] == (await other.get("/livez"))[0] == 200
        await asyncio.sleep(6)
        assert ((await one.get("/livez"))[0], (await other.get("/livez"))[0]) == (0, 200)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(asyncio.gather(usual.task, return_exceptions=True), 15)
    short.task.cancel()
    await asyncio.gather(short.task, return_exceptions=True)


async def test_a_process_that_is_to_end_serves_on_while_others_hear_of_it() -> None:
    """Not ready at once; requests are taken on old and new connections until the drain is over, and then ended well."""
    gate, asked = asyncio.Event(), asyncio.Event()

    def api(intake: Any) -> Starlette:
        async def do(request: Any) -> JSONResponse:
            if request.path_params["how"] == "slow":
                asked.set()
                await gate.wait()
            return JSONResponse(await intake.submit(Do("k", 5)))

        return Starlette(routes=[Route("/do/{how}", do)])

    bench = Bench()
    started = Started(bench, told_http(drain=2), app=api)
    await started.until_status("/readyz", 200)
    async with Connection(started.port) as kept, Connection(started.port) as slow:
        assert (await kept.get("/livez"))[0] == 200
        began = time.monotonic()
        os.kill(os.getpid(), signal.SIGTERM)
        await started.until_status("/readyz", 503)
        assert "end" in (await started.get("/readyz"))[1]
        status, head = await kept.get("/do/quick")
        assert (status, "connection: close" in head) == (200, True)
        assert (await started.get("/do/quick"))[0] == 200
        assert (await started.get("/livez"))[0] == 200
        waiting = asyncio.create_task(slow.get("/do/slow"))
        await asked.wait()
        await bench.until(lambda: bench.done().get("k") == [5, 5], "work goes on")
        await asyncio.sleep(began + 2.5 - time.monotonic())
        assert (await started.get("/livez"))[0] == 0, "the listener is closed after the drain"
        gate.set()
        assert (await waiting)[0] == 200
    await asyncio.wait_for(started.task, 15)


@pytest.mark.parametrize(("drain", "signals"), [(0, 1), (60, 2)])
async def test_an_end_that_is_wanted_now_comes_now(drain: int, signals: int) -> None:
    """On a laptop nobody needs to hear of it; and who asks twice is not made to wait."""
    started = Started(Bench(), told_http(drain=drain))
    await started.until_status("/readyz", 200)
    began = time.monotonic()
    for _ in range(signals):
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.1)
    await asyncio.wait_for(started.task, 15)
    assert time.monotonic() - began < 5


async def test_many_and_long_headers_refuse_no_request() -> None:
    """What proxies and tracers put on the way is theirs; the server reads past it."""
    started = Started(Bench(), settings())
    await started.until_status("/readyz", 200)
    async with Connection(started.port) as client:
        many = [f"x-{n}: {'y' * 50}" for n in range(1_000)]
        assert (await client.get("/livez", *many, f"traceparent: {'z' * 100_000}"))[0] == 200
    await started.stop()


@pytest.mark.parametrize("name", [environment.HTTP_PORT, environment.HTTP_KEEP_ALIVE, environment.HTTP_DRAIN])
@pytest.mark.parametrize("text", ["soon", "-1", "1.5", "", "1e3", "99999", "9" * 5000])
def test_a_number_that_is_none_is_refused_by_name(name: str, text: str) -> None:
    """The variable is named, with what it holds."""
    told = settings()
    with pytest.raises(MisconfiguredError, match=name):
        HttpSettings.read(told.env | {name: text})
