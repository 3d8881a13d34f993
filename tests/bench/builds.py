"""Another commit's build beside today's, each run as its users run it: `orderflow run` from its own checkout.

Nothing of the other build is imported: whatever its modules are called, it is met at its HTTP API, its Kafka, its
database and its processes.
"""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import cost
import counts
import psutil

from orderflow_cli.servers.child_process import stop
from orderflow_cli.servers.ports import HOST

_WEIGHT = -10
"""What the kernel's grouping of sessions goes by in place of `nice`, which only counts within one session."""
_APART = "--apart"
_COMMAND = ".venv/bin/orderflow"
_NO_SERVICES = ("kafka", "postgres", "payment-provider")
_START_SECONDS = 120
_STOP_SECONDS = 60


@dataclass(frozen=True)
class Build:
    """A checkout with its own .venv, and how its services are placed: `options` of its `orderflow run`."""

    name: str
    path: Path
    options: tuple[str, ...] = ()


def placed(root: Path) -> list[Build]:
    """Return today's build in each placement of its services that it knows, the usual one first."""
    said = subprocess.run([root / _COMMAND, "run", "--help"], capture_output=True, text=True, check=True).stdout
    if _APART in said:
        return [Build("together", root), Build("apart", root, (_APART,))]
    return [Build("apart", root)]


def check_out(root: Path, ref: str, folder: Path) -> Build:
    """Clone a commit and install what its lock says; raise CalledProcessError."""
    folder.parent.chmod(0o755)  # an older build starts Postgres as somebody who has to find it
    subprocess.run(["git", "clone", "--quiet", "--no-checkout", str(root), str(folder)], check=True)
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

    def _tree(self) -> list[int]:
        return [self.process.pid, *(child.pid for child in self.process.children(recursive=True))]

    def services(self) -> list[int]:
        """Return the processes of the flow's services."""
        return [pid for name, pid in self.pids().items() if name not in ("kafka", "postgres", "provider", "console")]

    def read(self) -> "Clocks":
        """Read what costs no time: CPU clocks, the supervisor's among them, wake-ups and round trips to Postgres."""
        cpu = cost.read(self.pids())
        cpu.by_name["run"] = float(sum(self.process.cpu_times()[:2]))
        trips = counts.round_trips(self.state["ports"]["postgres"])
        return Clocks(time.monotonic(), cpu, counts.wakeups(self._tree()), trips)

    @property
    def places(self) -> counts.Places:
        """Where to count the rest."""
        password, ports = self.state["passwords"]["admin"], self.state["ports"]
        database = f"postgresql://postgres:{password}@{HOST}:{ports['postgres']}/{self.flow}"
        services = [port for name, port in ports.items() if name not in _NO_SERVICES]
        return counts.Places(self.pids()["kafka"], database, tuple(f"http://{HOST}:{port}" for port in services))

    def services_mb(self) -> float:
        """Return the memory of all services in MiB, shared pages counted once."""
        return sum(cost.memory_mb({str(pid): pid for pid in self.services()})[0].values())


@dataclass(frozen=True)
class Clocks:
    """A moment (monotonic seconds), and what was spent by then."""

    at: float
    cpu: cost.Reading
    wakeups: Mapping[str, int]
    round_trips: Mapping[str, int]

    def since(self, earlier: "Clocks") -> dict[str, float]:
        """Return seconds, CPU seconds of the system and of others, wake-ups and statements since then."""
        spent, seconds = self.cpu.since(earlier.cpu), self.at - earlier.at
        found = {
            "seconds": seconds,
            "cpu": spent.total,
            "others": spent.others,
            "wakeups": counts.grown(self.wakeups, earlier.wakeups),
        }
        if self.round_trips:
            found["statements"] = counts.grown(self.round_trips, earlier.round_trips)
        return found


@asynccontextmanager
async def run_build(build: Build, flow: str, folder: Path) -> AsyncIterator[RunningBuild]:
    """Start a build's flow on new servers, without load; stop it."""
    started = _spawn(build, flow, folder)
    process = psutil.Process(started.pid)
    try:
        await _until_ready(started, folder / flow / "state.json", folder.with_suffix(".log"))
        _weigh(process.pid, _WEIGHT)  # its children are of its session
        _weigh(os.getpid(), _WEIGHT)  # the load is not to be late
        yield RunningBuild(process, _read(folder / flow / "state.json"), flow)
    finally:
        _weigh(os.getpid(), 0)
        await asyncio.to_thread(stop, started, signal.SIGINT, _STOP_SECONDS)


def _spawn(build: Build, flow: str, folder: Path) -> "subprocess.Popen[bytes]":
    flow_file = f"manifests/flows/{flow}.yaml"
    command = [_COMMAND, "run", flow_file, "--state", str(folder), "--orders", "0", *build.options]
    with folder.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(command, cwd=build.path, stdout=log, stderr=log, start_new_session=True)


def _weigh(pid: int, weight: int) -> None:
    with suppress(OSError):  # only root may, and only where the kernel groups
        Path(f"/proc/{pid}/autogroup").write_text(str(weight), encoding="ascii")


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
