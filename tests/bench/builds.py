"""Another commit's build beside today's, each run as its users run it: `orderflow run` from its own checkout.

Nothing of the other build is imported: whatever its modules are called, it is met at its HTTP API, its Kafka, its
database and its processes.
"""

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import cost
import psutil

from orderflow_cli.servers.child_process import stop
from orderflow_cli.servers.ports import HOST

_WEIGHT = "-10"
"""What the kernel's grouping of sessions goes by in place of `nice`, which only counts within one session."""
_START_SECONDS = 120
_STOP_SECONDS = 60


@dataclass(frozen=True)
class Build:
    """A checkout with its own .venv."""

    name: str
    path: Path


def check_out(root: Path, ref: str, folder: Path) -> Build:
    """Clone a commit and install what its lock says; raise CalledProcessError."""
    folder.parent.chmod(0o755)  # an older build starts Postgres as somebody who has to find it
    subprocess.run(["git", "clone", "--quiet", str(root), str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "checkout", "--quiet", ref], check=True)
    subprocess.run(["make", "--silent", "install"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return Build(ref, folder)


@dataclass(frozen=True)
class RunningBuild:
    """A build's flow with its servers, under one `orderflow run`."""

    process: psutil.Process
    state: Mapping[str, Any]
    flow: str

    @property
    def url(self) -> str:
        """Where orders are placed."""
        return f"http://{HOST}:{self.state['ports']['order']}"

    @property
    def bootstrap(self) -> str:
        """Its Kafka."""
        return f"{HOST}:{self.state['ports']['kafka']}"

    def pids(self) -> dict[str, int]:
        """Return its processes by name; each counts with those it has started."""
        return {_name(child): child.pid for child in self.process.children()}

    def services(self) -> list[int]:
        """Return the processes of services."""
        return [pid for name, pid in self.pids().items() if name not in ("kafka", "postgres")]

    def read(self) -> cost.Reading:
        """Read the CPU clocks, the supervisor's among them."""
        found = cost.read(self.pids())
        found.by_name["run"] = float(sum(self.process.cpu_times()[:2]))
        return found

    def wakeups(self) -> int:
        """Return how often threads of services have gone to sleep and been woken so far."""
        tasks = (Path(f"/proc/{pid}/task").glob("*/status") for pid in self.services())
        return sum(_switches(status) for found in tasks for status in found)

    def services_mb(self) -> float:
        """Return the memory of all services in MiB, shared pages counted once."""
        return sum(cost.memory_mb({str(pid): pid for pid in self.services()})[0].values())

    async def transactions(self) -> int:
        """Return how many transactions its database has seen so far, within a second or two."""
        password, port = self.state["passwords"]["admin"], self.state["ports"]["postgres"]
        connection = await asyncpg.connect(host=HOST, port=port, user="postgres", password=password, database=self.flow)
        try:
            query = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
            return int(await connection.fetchval(query))
        finally:
            await connection.close()


@asynccontextmanager
async def run_build(build: Build, flow: str, folder: Path) -> AsyncIterator[RunningBuild]:
    """Start a build's flow on new servers, without load; stop it."""
    started = _spawn(build, flow, folder)
    process = psutil.Process(started.pid)
    try:
        await _until_ready(started, folder / flow / "state.json", folder.with_suffix(".log"))
        for one in (process, *process.children(recursive=True)):
            _weigh(one.pid)
        yield RunningBuild(process, _read(folder / flow / "state.json"), flow)
    finally:
        await asyncio.to_thread(stop, started, signal.SIGINT, _STOP_SECONDS)


def _spawn(build: Build, flow: str, folder: Path) -> "subprocess.Popen[bytes]":
    command = [".venv/bin/orderflow", "run", f"manifests/flows/{flow}.yaml", "--state", str(folder), "--orders", "0"]
    with folder.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(command, cwd=build.path, stdout=log, stderr=log, start_new_session=True)


def _weigh(pid: int) -> None:
    with suppress(OSError):  # only root may, and only where the kernel groups
        Path(f"/proc/{pid}/autogroup").write_text(_WEIGHT, encoding="ascii")


def _read(file: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(file.read_bytes())
    return found


async def _until_ready(started: "subprocess.Popen[bytes]", file: Path, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    async with aiohttp.ClientSession() as http:
        while started.poll() is None and time.monotonic() < deadline:
            with suppress(OSError, KeyError, json.JSONDecodeError, aiohttp.ClientError):
                async with http.get(f"http://{HOST}:{_read(file)['ports']['order']}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.2)
    raise RuntimeError(f"it did not get ready: {_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-2000:]


def _name(process: psutil.Process) -> str:
    command = process.cmdline()
    module = next((word for word in command if word.startswith("orderflow_")), "")
    return module.removeprefix("orderflow_") or ("kafka" if Path(command[0]).name == "java" else "postgres")


def _switches(status: Path) -> int:
    with suppress(OSError):  # the thread has ended meanwhile
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                return int(line.split()[1])
    return 0
