"""`tools/parts.py`: what runs beside the parts ends with them, however they end."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

PARTS = Path(__file__).parents[3] / "tools" / "parts.py"
MAKE = """\
#!/bin/sh
case "$2" in
beside) sleep 600 & echo $! >beside.tmp; mv beside.tmp beside.pid; wait ;;
quick) while [ ! -e beside.pid ]; do sleep 0.05; done; echo "=== 3 passed in 0.10s ===" ;;
failing) exit 1 ;;
broken) echo 'E   assert 3 == 4'; echo 'FAILED tests/sums.py::test_sum'; echo '= 1 failed in 0.10s ='; exit 1 ;;
unmade) echo 'no rule to make it'; exit 2 ;;
waiting) until [ -e late ]; do sleep 0.05; done; echo waiting is over ;;
late) sleep 0.2; : >late; echo late is over ;;
busy) (ulimit -t 2; while :; do :; done) ;;
slow) trap "exit 130" INT; echo slow >slow; while :; do sleep 0.1; done ;;
esac
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder where `make` is a program that plays the targets."""
    (tmp_path / "make").write_text(MAKE)
    (tmp_path / "make").chmod(0o755)
    return tmp_path


def start(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """Start tools/parts.py there."""
    env = {"PATH": "/usr/bin:/bin", "MAKE": str(folder / "make")}
    return subprocess.Popen(
        [PARTS, *words], cwd=folder, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def lines(told: str) -> list[str]:
    """Give the table of the parts."""
    return told.partition("== parts\n")[2].partition("\n\n")[0].splitlines()


def ends(folder: Path) -> bool:
    """Whether what was begun beside the parts is gone soon."""
    pid = int((folder / "beside.pid").read_text())
    return soon(lambda: not lives(pid))


def lives(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def soon(condition: Callable[[], bool]) -> bool:
    """Wait for a condition, as long as a busy machine may take to start some programs; tell whether it came."""
    until = time.monotonic() + 60
    while not (holds := condition()) and time.monotonic() < until:
        time.sleep(0.05)
    return holds


def test_every_part_runs_and_what_is_beside_them_ends(folder: Path) -> None:
    """A part that fails stops no other; the verdict and each part's count stand at the end."""
    running = start(folder, "--beside", "beside", "failing", "quick")
    told = running.communicate(timeout=60)[0]
    assert running.returncode == 1
    assert [[line.split()[0], line.split()[7]] for line in lines(told)] == [
        ["failing", "FAILED"],
        ["quick", "ok"],
    ]
    assert "3 passed" in told
    assert "quick             | === 3 passed" in told
    assert ends(folder)


def test_what_failed_and_with_what_stands_at_the_end(folder: Path) -> None:
    """Who sees only the end of a long run sees the names; a part without tests ends with its last words."""
    told = start(folder, "broken", "unmade").communicate(timeout=60)[0]
    assert told.partition("\n\n== failed: ")[2].splitlines() == [
        "broken",
        "E   assert 3 == 4",
        "FAILED tests/sums.py::test_sum",
        "",
        "== failed: unmade",
        "no rule to make it",
    ]


def test_each_part_tells_how_long_it_took_and_worked(folder: Path) -> None:
    """Seconds by the clock, and seconds of work of all its processes: who waits shows by the difference."""
    told = start(folder, "busy", "failing").communicate(timeout=120)[0]
    busy, failing = (line.split() for line in lines(told))
    assert 1 <= int(busy[3]) <= int(busy[1]) + 1
    assert int(failing[3]) <= 1


def test_it_ends_with_a_run_that_is_stopped(folder: Path) -> None:
    """After Ctrl-C, which a terminal sends to all in front, nothing goes on compiling behind."""
    running = start(folder, "--beside", "beside", "quick", "slow")
    assert soon(lambda: (folder / "slow").exists() and (folder / "beside.pid").exists())
    os.killpg(running.pid, signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode != 0
    assert ends(folder)


def test_two_parts_run_at_a_time(folder: Path) -> None:
    """One that waits for another does not wait for ever; a third begins when one of the two has ended."""
    running = start(folder, "waiting", "late", "third")
    told = running.communicate(timeout=60)[0]
    assert running.returncode == 0, told
    assert told.index("== third") > min(told.index("late is over"), told.index("waiting is over"))
