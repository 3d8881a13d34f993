"""What keeps a supervised program from running is told with its place, again and again later, until it is mended."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from orderflow_cli.local.restart_delay import LONGEST_DELAY_SECONDS, STABLE_SECONDS, RestartDelay
from orderflow_cli.local.supervisor import Program, Supervisor
from orderflow_cli.servers import child_process


async def _eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - a process and its files tell nobody
            await asyncio.sleep(0.02)


def _program(folder: Path, clear: Sequence[str] = ()) -> Program:
    (folder / "pids").mkdir(exist_ok=True)
    argv = [sys.executable, "-c", "import time; time.sleep(60)"]
    return Program("p", argv, {}, folder / "p.log", folder / "pids", clear)


@pytest.mark.parametrize("wrong", ["log", "pid", "pids"])
async def test_a_file_that_is_in_the_way_is_named_until_it_is_gone(tmp_path: Path, wrong: str) -> None:
    """The program is started again by itself once it can be, and is no orphan before."""
    told: list[str] = []
    program = _program(tmp_path)
    blocked = {"log": program.log, "pid": program.pids / "p", "pids": program.pids}[wrong]
    if wrong == "pids":
        blocked.rmdir()
        blocked.touch()
    else:
        blocked.mkdir()
    supervisor = Supervisor([program], told.append, grace_s=0.5)
    supervisor.start()
    await _eventually(lambda: sum(str(blocked) in line for line in told) >= 2)
    if wrong == "pids":
        blocked.unlink()
        blocked.mkdir()
    else:
        blocked.rmdir()
    await _eventually(lambda: child_process.alive(program.pids / "p") is not None)
    await supervisor.stop()
    assert child_process.alive(program.pids / "p") is None


async def test_a_program_that_clears_up_and_is_not_there_is_named(tmp_path: Path) -> None:
    """Neither keeps the other programs from being kept nor the end from coming."""
    told: list[str] = []
    supervisor = Supervisor([_program(tmp_path, ["/no/such/docker", "rm"])], told.append, grace_s=0.5)
    supervisor.start()
    await _eventually(lambda: any("cannot be executed: /no/such/docker: No such file" in line for line in told))
    await supervisor.stop()
    assert "leaves something behind: /no/such/docker" in told[-1]


def test_who_does_not_last_waits_longer_each_time() -> None:
    """The wait doubles up to a bound, and is short again after a run that lasted."""
    delay = RestartDelay()
    waits = [delay.after(0.1) for _ in range(10)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0.4, LONGEST_DELAY_SECONDS)
    assert delay.after(STABLE_SECONDS + 1) < waits[0]
