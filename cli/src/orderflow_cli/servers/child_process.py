"""Child processes that never outlive their parent: used for Kafka, Postgres and every service.

Three nets, because a laptop is not a cluster: each child asks the kernel to die with its parent (Linux),
stands in a process group of its own so that Ctrl-C in the terminal reaches only the parent, and is written to
a pid file together with its start time, so that the next start can end what a crash (or macOS) left over.
"""

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from orderflow_cli.errors import StartError

# The kernel sends the death signal when the *thread* that forked ends. This one ends with the interpreter.
_FORKER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forker")
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def spawn(
    argv: Sequence[str],
    *,
    output: IO[bytes] | int,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start argv with stdout and stderr going to `output`; it gets `death_signal` when this process dies.

    Raise `FileNotFoundError` when the program does not exist.
    """

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - argv comes from this package or from the user's own flow
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
            process_group=0,
            preexec_fn=die_with_parent(death_signal),
        )

    return _FORKER.submit(start).result()


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """Return what a child calls between fork and exec to get `death_signal` when the forking thread ends (Linux)."""
    if _LIBC is None:
        return None
    prctl = _LIBC.prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, death_signal)


def stop(process: subprocess.Popen[bytes], ask: signal.Signals, grace_s: float) -> int:
    """Ask a child to end, kill it after grace_s seconds, and return its exit code."""
    if process.poll() is None:
        process.send_signal(ask)
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            kill_tree(process.pid)
    return process.wait()


def kill_tree(pid: int) -> None:
    """Send SIGKILL to a process and all its descendants, and wait until they are gone."""
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(family, timeout=5)


def record(pid: int, pid_file: Path) -> None:
    """Write who this child is, so that `end_leftover` can tell it from a later process of the same number."""
    with suppress(psutil.NoSuchProcess):  # it has ended already: there is nobody to find again
        pid_file.write_text(f"{pid} {psutil.Process(pid).create_time()}\n", encoding="ascii")


def alive(pid_file: Path) -> int | None:
    """Return the pid in the file while that very process runs, else None."""
    try:
        pid, created = pid_file.read_text(encoding="ascii").split()
        process = psutil.Process(int(pid))
        same = process.create_time() == float(created) and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None
    return int(pid) if same else None


def end_leftover(pid_file: Path) -> None:
    """End the child that an earlier, crashed parent left over, and remove its pid file."""
    pid = alive(pid_file)
    if pid is not None:
        kill_tree(pid)
    pid_file.unlink(missing_ok=True)


def wait_until(
    ready: Callable[[], bool], process: subprocess.Popen[bytes], name: str, log: Path, timeout_s: float
) -> None:
    """Block until `ready()`; raise `StartError` with the log's end when the child ends or time runs out."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        code = process.poll()
        if code is not None:
            raise StartError(f"{name} ended with code {code}: {_tail(log)}", f"Its whole log is {log}")
        if time.monotonic() > deadline:
            raise StartError(f"{name} was not ready in {timeout_s:.0f} s: {_tail(log)}", f"Its log is {log}")
        time.sleep(0.02)


def _tail(log: Path, lines: int = 5) -> str:
    with suppress(OSError):
        return " | ".join(log.read_text(errors="replace").splitlines()[-lines:])
    return "no log"
