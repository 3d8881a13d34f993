"""A running flow for tests: topics, schemas, the provider, and every service as a process of its own, or all in one.

`Fleet` starts and kills single processes on purpose; `orderflow run` would restart them.
"""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from orderflow_cli.servers.kafka_topics import ensure_topics
from orderflow_cli.servers.ports import free_port
from orderflow_model import environment
from orderflow_model.flow import OrderFlow
from orderflow_model.names import role_name
from orderflow_model.service_part import service_config
from orderflow_model.topics import flow_topics
from orderflow_runtime.postgres.migrator import migrate
from support.tools.programs import Program, Start, forked

TOGETHER = os.environ.get("ORDERFLOW_TEST_PLACEMENT") == "Together"
"""Whether the services of a flow share one process; a second instance of them is a second process."""
PASSWORD = "only-for-tests"  # noqa: S105 - a database that lives as long as the test


class Fleet:
    """The processes of one flow on a given Kafka and database; call `prepare`, then `start` what the test needs."""

    def __init__(self, flow: OrderFlow, bootstrap: str, admin_url: str, folder: Path) -> None:
        self.flow = flow
        self.bootstrap = bootstrap
        self.admin_url = admin_url
        self.folder = folder
        self.extra_env: dict[str, str] = {}
        self.program: Start = forked
        self.processes: dict[str, Program] = {}
        self.ports: dict[str, int] = {}

    async def prepare(self) -> None:
        """Make topics and schemas."""
        await asyncio.to_thread(ensure_topics, self.bootstrap, flow_topics(self.flow))
        await migrate(self.admin_url, self.flow, {service.name: PASSWORD for service in self.flow.services})

    def start_provider(self) -> None:
        """Start the payment provider; payment's address for it is in the environment from now on."""
        port = self.ports.setdefault("provider", free_port())
        env = {environment.HTTP_HOST: "127.0.0.1", environment.HTTP_PORT: str(port)}
        self._start("provider", ["-m", "orderflow_provider"], env)
        self.extra_env["PAYMENT_PROVIDER_URL"] = f"http://127.0.0.1:{port}"

    def start(self, service: str, instance: int = 0, command: Sequence[str] = ()) -> str:
        """Start one instance of a service, by its own command or another of Python; gives its name here."""
        name = f"{service}-{instance}"
        if TOGETHER:
            self._start_together(instance, command)
        else:
            _, *arguments = command or self.flow.service(service).command
            self._start(name, arguments, self.env(service, name))
        return name

    def _start_together(self, instance: int, command: Sequence[str]) -> None:
        """Start all services as one process, unless it runs; each has its name, as when they are apart."""
        modules = {service.name: service.command[2] for service in self.flow.services}
        names = {service: f"{service}-{instance}" for service in modules}
        running = self.processes.get(names[next(iter(modules))])
        if running is not None and running.poll() is None:
            return
        own = {s: self.env(s, name) for s, name in names.items()}
        env = {environment.own_name(s, variable): value for s in own for variable, value in own[s].items()}
        shared = ["-m", "orderflow_runtime.shared_process", *(f"{s}={m}" for s, m in modules.items())]
        first = names[next(iter(names))]
        self._start(first, [*command[1:], *modules] if command else shared, env)
        self.processes |= dict.fromkeys(names.values(), self.processes[first])

    def env(self, service: str, name: str) -> dict[str, str]:
        """Give what the service's process is told."""
        config = self.folder / f"{service}.json"
        config.write_text(service_config(self.flow, service).model_dump_json(by_alias=True))
        role = role_name(self.flow.metadata.name, service)
        address = self.admin_url.rpartition("@")[2]
        return {
            environment.CONFIG: str(config),
            environment.DATABASE_URL: f"postgresql://{role}:{PASSWORD}@{address}",
            environment.KAFKA_BOOTSTRAP: self.bootstrap,
            environment.HTTP_PORT: str(self.ports.setdefault(name, free_port())),
            environment.INSTANCE: name,
            environment.LOG_LEVEL: "INFO",
        } | self.extra_env

    def _start(self, name: str, arguments: Sequence[str], env: Mapping[str, str]) -> None:
        self.processes[name] = self.program(arguments, self.folder / f"{name}.log", {**os.environ, **env}, None)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """End a process and wait for it; gives its exit code."""
        process = self.processes[name]
        self.processes = {other: one for other, one in self.processes.items() if one is not process}
        process.send_signal(number)
        return process.wait(30)

    def stop(self) -> None:
        """End all processes, the graceful way first."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()

    def url(self, name: str, path: str) -> str:
        """Give an address at a process's HTTP port."""
        return f"http://127.0.0.1:{self.ports[name]}{path}"

    async def until_ready(self, *names: str, seconds: float = 60) -> None:
        """Wait until these processes say that they are ready."""
        async with aiohttp.ClientSession() as http:
            for name in names:
                await until(lambda name=name: self._is_ready(http, name), f"{name} is ready", seconds)

    async def _is_ready(self, http: aiohttp.ClientSession, name: str) -> bool:
        if (code := self.processes[name].poll()) is not None:
            log = "".join(file.read_text()[-2000:] for file in self.folder.glob("*.log"))
            raise AssertionError(f"{name} ended with {code}:\n{log}")
        try:
            async with http.get(self.url(name, "/readyz"), timeout=aiohttp.ClientTimeout(2)) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def fetch(self, query: str, *args: object) -> list[Any]:
        """Query the database as its superuser."""
        connection = await asyncpg.connect(self.admin_url)
        try:
            rows: list[Any] = await connection.fetch(query, *args)
            return rows
        finally:
            await connection.close()


async def until(condition: Callable[[], Any], what: str, seconds: float = 60, every: float = 0.2) -> None:
    """Wait for a condition (a function or coroutine function); fail with `what` after so many seconds.

    What takes long is asked for more and more seldom, in the end every half second: each question is work.
    """
    deadline = time.monotonic() + seconds
    longest = max(every, 0.5)
    while True:
        holds = condition()
        if asyncio.iscoroutine(holds):
            holds = await holds
        if holds:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        await asyncio.sleep(every)
        every = min(every * 1.1, longest)
