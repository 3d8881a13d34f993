"""The supervisor, on tiny programs: it restarts what ends, lets nothing outlive it, and keeps every line."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from orderflow_cli.local.supervisor import Program, Supervisor
from orderflow_cli.servers import child_process

STUBBORN = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('started', flush=True)\ntime.sleep(60)"
)
POLITE = (
    "import signal, sys, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: (print('finished the batch', flush=True), sys.exit(0)))\n"
    "print('started', flush=True)\ntime.sleep(60)"
)

Launch = Callable[[str], Supervisor]


@pytest.fixture
async def launch(tmp_path: Path) -> AsyncIterator[Launch]:
    """Starts a supervisor of one Python program named `p`, and stops it after the test."""
    supervisors = []

    def start(code: str) -> Supervisor:
        argv = [sys.executable, "-c", code]
        program = Program("p", argv, {"ONLY": "this"}, tmp_path / "p.log", tmp_path)
        supervisors.append(Supervisor([program], lambda line: None, grace_s=0.5))
        supervisors[-1].start()
        return supervisors[-1]

    yield start
    for supervisor in supervisors:
        await supervisor.stop()


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not holds():  # noqa: ASYNC110 - it is another process that changes
            await asyncio.sleep(0.02)


def _log(folder: Path) -> str:
    log = folder / "p.log"
    return log.read_text() if log.exists() else ""


async def test_a_program_that_ends_is_started_again(launch: Launch, tmp_path: Path) -> None:
    """A crash costs one restart, and what both lives wrote is in the log."""
    supervisor = launch("print('alive', flush=True); raise SystemExit(3)")
    await _until(lambda: _log(tmp_path).count("alive") >= 2)
    assert supervisor.restarts["p"] >= 1


async def test_a_killed_program_is_a_new_process(launch: Launch, tmp_path: Path) -> None:
    """The pid file always names the process that runs now."""
    launch(POLITE)
    await _until(lambda: "started" in _log(tmp_path))
    first = child_process.alive(tmp_path / "p")
    assert first is not None
    child_process.kill_tree(first)
    await _until(lambda: child_process.alive(tmp_path / "p") not in (None, first))


async def test_stop_lets_a_program_finish(launch: Launch, tmp_path: Path) -> None:
    """A service gets SIGTERM and the time to end its batch."""
    supervisor = launch(POLITE)
    await _until(lambda: "started" in _log(tmp_path))
    await supervisor.stop()
    assert "finished the batch" in _log(tmp_path)


async def test_stop_kills_what_ignores_it(launch: Launch, tmp_path: Path) -> None:
    """After the grace period nothing is left, whatever the program thinks of SIGTERM."""
    supervisor = launch(STUBBORN)
    await _until(lambda: "started" in _log(tmp_path))
    pid = child_process.alive(tmp_path / "p")
    assert pid is not None
    await supervisor.stop()
    assert child_process.alive(tmp_path / "p") is None


async def test_a_program_gets_only_its_own_environment(launch: Launch, tmp_path: Path) -> None:
    """Nothing of the user's shell passes by accident: what works here must work in a pod."""
    launch("import os, time; print(sorted(set(os.environ) - {'LC_CTYPE'}), flush=True); time.sleep(60)")
    await _until(lambda: "['ONLY']" in _log(tmp_path))


async def test_a_program_that_cannot_be_executed_is_reported(tmp_path: Path) -> None:
    """A command that vanished counts as a crash and does not stop the others."""
    lines: list[str] = []
    program = Program("gone", [str(tmp_path / "gone")], {}, tmp_path / "gone.log", tmp_path)
    supervisor = Supervisor([program], lines.append)
    supervisor.start()
    await _until(lambda: bool(lines))
    await supervisor.stop()
    assert "gone cannot be executed" in lines[0]


async def test_a_leftover_of_a_crashed_run_is_ended_first(launch: Launch, tmp_path: Path) -> None:
    """A process that an earlier supervisor left over does not run beside the new one."""
    with (tmp_path / "old.log").open("wb") as log:
        leftover = child_process.spawn([sys.executable, "-c", "import time; time.sleep(60)"], output=log)
    child_process.record(leftover.pid, tmp_path / "p")
    launch(POLITE)
    await _until(lambda: "started" in _log(tmp_path))
    assert leftover.wait(5) in (0, -signal.SIGKILL)
