"""Keeps a flow's processes running: `orderflow run` hands it programs, it starts, restarts and ends them.

Each writes straight into its own log file, so that no line is lost when the supervisor is busy or dies.
"""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from orderflow_cli.errors import place_of
from orderflow_cli.local.restart_delay import RestartDelay
from orderflow_cli.servers import child_process


@dataclass(frozen=True)
class Program:
    """One process: `env` is its whole environment, `clear` a command that removes what a crash left over.

    `pids` is a folder; `services` are those that it runs, where its name is not that of one: it is found by each.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    pids: Path
    clear: Sequence[str] = field(default=())
    services: Sequence[str] = field(default=())

    @property
    def pid_files(self) -> list[Path]:
        """Where its pid stands, by each name that it is known by."""
        return [self.pids / name for name in self.services or (self.name,)]


class Supervisor:
    """Runs programs until `stop`. `report` is told, as a line, of every end that nobody asked for."""

    def __init__(self, programs: Sequence[Program], report: Callable[[str], None], grace_s: float = 15) -> None:
        self.restarts = {program.name: 0 for program in programs}
        self._programs = programs
        self._report = report
        self._grace_s = grace_s
        self._processes: dict[str, Process] = {}
        self._keepers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start every program; each is started again whenever it ends, with growing delays."""
        self._keepers = [asyncio.create_task(self._keep(program)) for program in self._programs]

    async def stop(self) -> None:
        """Send SIGTERM to all, SIGKILL to what is still there after the grace period, and wait until all are gone."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.gather(*(self._end(process) for process in self._processes.values()))
        for program in self._programs:
            await self._tidy_up(program)

    async def _tidy_up(self, program: Program) -> None:
        try:
            await _clear(program)
            for file in program.pid_files:
                file.unlink(missing_ok=True)
        except OSError as error:
            self._report(f"{program.name} leaves something behind: {place_of(error)}")

    async def _keep(self, program: Program) -> None:
        loop, delay = asyncio.get_running_loop(), RestartDelay()
        while True:
            started = loop.time()
            ending = await self._run(program)
            seconds = delay.after(loop.time() - started)
            self.restarts[program.name] += 1
            self._report(f"{program.name} {ending}; starting it again in {seconds:.1f} s (log: {program.log})")
            await asyncio.sleep(seconds)

    async def _run(self, program: Program) -> str:
        """Run the program once and say how it ended, or what keeps it from running, with the place."""
        try:
            for file in program.pid_files:
                child_process.end_leftover(file)
            await _clear(program)
            process = self._processes[program.name] = await _execute(program)
        except OSError as error:
            return f"cannot be executed: {place_of(error)}"
        try:
            for file in program.pid_files:
                child_process.record(process.pid, file)
        except OSError as error:
            await self._end(process)  # nobody would find it again
            return f"was ended, for its pid cannot be written: {place_of(error)}"
        return _ending(await process.wait())

    async def _end(self, process: Process) -> None:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self._grace_s)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _execute(program: Program) -> Process:
    with program.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *program.argv,
            stdin=DEVNULL,
            stdout=log,
            stderr=STDOUT,
            env=program.env,
            process_group=0,
            preexec_fn=child_process.die_with_parent(signal.SIGKILL),
        )


async def _clear(program: Program) -> None:
    if program.clear:
        cleared = await asyncio.create_subprocess_exec(*program.clear, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
        await cleared.wait()


def _ending(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
