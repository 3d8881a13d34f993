"""How tests start a Python program as a process of its own: `forked`, and where it matters `executed`.

`forked` forks a process that has imported what it runs, once: imports are a second of processor time, which tests that
start hundreds of operators and services need not pay for each. The server is the standard library's, a process beside
pytest's, without threads. A fork gets the environment, folder and outputs of a process started by `executed`, and runs
`__main__` from its first line. What an interpreter does before that line, and what a process takes of memory, is shown
by `executed` alone: each tier has tests that start the real command, and benches measure no other.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Protocol

from orderflow_cli.servers.child_process import die_with_parent, spawn

SERVICES = ("order", "inventory", "payment", "shipping", "notification", "provider", "sources")
OF_OPERATOR = ("orderflow_operator.__main__", "orderflow_runtime.migrate", "orderflow_runtime.removal")
OF_FLOW = (*(f"orderflow_{name}.__main__" for name in SERVICES), "orderflow_cli.main")


class Program(Protocol):
    """A program that was started; `subprocess.Popen` is one."""

    @property
    def pid(self) -> int:
        """Its process number."""

    @property
    def returncode(self) -> int | None:
        """The code it was seen to end with, a signal as a negative number."""

    def poll(self) -> int | None:
        """Return the code it ended with; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return its code; raise `subprocess.TimeoutExpired` when that takes longer."""

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless it has ended."""

    def kill(self) -> None:
        """SIGKILL it, unless it has ended."""


Start = Callable[[Sequence[str], Path, Mapping[str, str], Path | None], Program]
"""Starts `python ARGUMENTS`, its output at the end of a file, with an environment, in a folder (None: this one)."""


def executed(arguments: Sequence[str], output: Path, env: Mapping[str, str], cwd: Path | None = None) -> Program:
    """Start a program as its users do."""
    with output.open("ab") as file:
        return spawn([sys.executable, *arguments], output=file, env=env, cwd=cwd)


def forked(arguments: Sequence[str], output: Path, env: Mapping[str, str], cwd: Path | None = None) -> Program:
    """Start a program, `-m MODULE` or a file with its arguments, by a fork of what has imported it."""
    output.touch()
    return _Fork(list(arguments), output.absolute(), dict(env), cwd or Path.cwd())


class _Fork:
    """A process of the fork server, as `Program` has it."""

    def __init__(self, arguments: list[str], *where: object) -> None:
        server = _server(of_operator="orderflow_operator" in arguments)
        self._process = server.Process(target=_become, args=(arguments, *where), daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout or 0)
        return code

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@cache
def _server(*, of_operator: bool) -> ForkServerContext:
    """Give the server, which imports for the program that is the first: others import what they lack."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(OF_OPERATOR if of_operator else OF_FLOW))
    return context


def _become(arguments: Sequence[str], output: Path, env: Mapping[str, str], cwd: Path) -> None:
    """Turn a fork of the server into `python ARGUMENTS`."""
    if die := die_with_parent(signal.SIGKILL):
        die()
    os.setpgid(0, 0)
    os.close(forkserver._forkserver._forkserver_alive_fd)  # type: ignore[attr-defined]  # pytest's alone keeps it alive
    _redirect(output)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    module = arguments[1] if arguments[0] == "-m" else None
    first = str(cwd) if module else str(Path(arguments[0]).parent)
    sys.path[:0] = [first, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = list(arguments[1:] if module else arguments)
    if module is None:
        runpy.run_path(arguments[0], run_name="__main__")
    else:
        _forget(module)
        runpy.run_module(module, run_name="__main__", alter_sys=True)


def _forget(module: str) -> None:
    """Let a module that was imported run as the main one without a warning."""
    for name in {module, f"{module}.__main__"} & {*OF_OPERATOR, *OF_FLOW}:
        sys.modules.pop(name, None)


def _redirect(output: Path) -> None:
    """Read nothing, and write both outputs to the end of a file, each line at once."""
    with open(os.devnull, "rb") as nothing, output.open("ab") as file:
        os.dup2(nothing.fileno(), 0)
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115 - for as long as the process lives
