"""The `orderflow` command as a user runs it: a process of its own, in a folder of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil
from click.testing import CliRunner

from orderflow_cli.main import main
from orderflow_cli.servers.ports import is_listening
from support.tools.programs import Start, executed, forked

FLOW = Path(__file__).parents[3] / "manifests" / "flows" / "shop.yaml"
_MAIN = str(Path(__file__).with_name("orderflow_main.py"))
_START_S = 120


def orderflow(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, seconds: float = _START_S
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end by a fork, within so many seconds."""
    return OrderFlowProcess(*arguments, cwd=cwd, env=env, program=forked).finish(seconds)


class OrderFlowProcess:
    """A command that runs; `program` is how it is started."""

    def __init__(
        self, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, program: Start = executed
    ) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(env or {})}
        self._arguments = arguments
        self._output = cwd / f"output-{time.monotonic_ns()}"
        self._process = program([_MAIN, *arguments], self._output, environment, cwd)

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self._output.read_text(encoding="utf-8")

    def wait_for(self, text: str) -> None:
        """Block until it has printed the text; fail when it ends before or takes two minutes."""
        deadline = time.monotonic() + _START_S
        while text not in self.output:
            assert self._process.poll() is None, f"ended before {text!r}:\n{self.output}"
            assert time.monotonic() < deadline, f"no {text!r} in time:\n{self.output}"
            time.sleep(0.05)

    def children(self) -> list[psutil.Process]:
        """All processes it has started and that still run."""
        return psutil.Process(self._process.pid).children(recursive=True)

    def interrupt(self) -> subprocess.CompletedProcess[str]:
        """Ctrl-C, and wait for the end."""
        self._process.send_signal(signal.SIGINT)
        return self.finish()

    def kill(self) -> None:
        """SIGKILL, as a closed laptop or an impatient user."""
        self._process.kill()
        self._process.wait()

    def finish(self, seconds: float = _START_S) -> subprocess.CompletedProcess[str]:
        """Wait for the end; the result's stdout holds all output."""
        try:
            code = self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.interrupt_hard()
            raise
        return subprocess.CompletedProcess(self._arguments, code, self.output, "")

    def interrupt_hard(self) -> None:
        """Leave nothing behind, whatever state it is in."""
        if self._process.poll() is None:
            self.kill()


def ports_of(state: Path) -> list[int]:
    """The ports that a flow's state directory names."""
    ports: dict[str, int] = json.loads((state / "state.json").read_text())["ports"]
    return list(ports.values())


def all_gone(processes: Iterable[psutil.Process], ports: Iterable[int], within_s: float = 10) -> bool:
    """True when none of the processes runs and none of the ports is open, at the latest after a while."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not any(map(_runs, processes)) and not any(map(is_listening, ports)):
            return True
        time.sleep(0.05)
    return False


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def invoke(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, which takes no second to start; stdout and stderr apart."""
    result = CliRunner().invoke(main, arguments, env=env, catch_exceptions=False)
    return subprocess.CompletedProcess(arguments, result.exit_code, result.stdout, result.stderr)
