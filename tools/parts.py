#!/usr/bin/env python3
"""Runs make targets, two at a time, all of them even when one fails: what one leaves of the processors the other takes.

`tools/parts.py [--beside TARGET] TARGET...`, called by `make test`. They begin in the order given. Each line of what a
part says bears its name; all of it stays in artifacts/test/PART.log. At the end stands how long each part took and how
long processors worked for it, how it ended, and what was skipped and why. The target beside them runs on what they
leave of the machine, and ends with them. Which tests failed, and with what, stands at the very end: of a long run that
is what one sees.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

AT_A_TIME = 2
MAKE = os.environ.get("MAKE", "make")
LOGS = Path("artifacts/test")
_COUNTS = re.compile(r"^=+ .*(?:passed|failed|error|skipped|no tests ran).* in [0-9.]+s.*=+$", re.MULTILINE)
_SKIPPED = re.compile(r"^SKIPPED .*$", re.MULTILINE)
_FAILED = re.compile(r"^(?:FAILED|ERROR|E  ) .*$", re.MULTILINE)
_FAILURES_TOLD = 40  # lines of a part, from its end: names are there, after what the tests said
_OUTPUT = Lock()


@dataclass(frozen=True)
class Ended:
    """A part that ran: seconds by the clock, seconds of work of all its processes, its exit code and what it said."""

    name: str
    took: float
    worked: float
    code: int
    said: str

    def __str__(self) -> str:
        counts = _COUNTS.findall(self.said)[-1:]
        verdict = "FAILED" if self.code else "ok"
        return (
            f"{self.name:<18} {self.took:6.0f} s {self.worked:6.0f} s of work  {verdict:<7} {''.join(counts)}".rstrip()
        )


def run(name: str) -> Ended:
    """Run a target to its end, its lines told as they come."""
    tell(f"== {name}")
    started = time.monotonic()
    part = subprocess.Popen([MAKE, "--no-print-directory", name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = b""
    with part, (LOGS / f"{name}.log").open("wb") as log:
        for line in part.stdout or ():
            said += line
            log.write(line)
            tell(f"{name:<18}| {line.decode(errors='replace').rstrip()}")
        _, status, usage = os.wait4(part.pid, 0)
        part.returncode = os.waitstatus_to_exitcode(status)
    worked = usage.ru_utime + usage.ru_stime
    return Ended(name, time.monotonic() - started, worked, part.returncode, said.decode(errors="replace"))


def tell(line: str) -> None:
    """Print a line whole, whoever else prints."""
    with _OUTPUT:
        print(line, flush=True)


@contextmanager
def beside(target: str | None) -> Iterator[None]:
    """Run a target beside the body, in a group of its own, so that it ends with all that it has begun."""
    if target is None:
        yield
        return
    running = subprocess.Popen(["nice", MAKE, "--no-print-directory", target], start_new_session=True)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGTERM)
        running.wait()


def run_all(names: list[str]) -> list[Ended]:
    """Run them; what a Ctrl-C leaves no time for is not begun."""
    pool = ThreadPoolExecutor(AT_A_TIME)
    try:
        return list(pool.map(run, names))
    finally:
        pool.shutdown(cancel_futures=True)


def main(arguments: list[str]) -> int:
    """Run what is asked for; return 1 if a part failed."""
    LOGS.mkdir(parents=True, exist_ok=True)
    other = arguments[1] if arguments[0] == "--beside" else None
    with beside(other):
        ended = run_all(arguments[2:] if other else arguments)
    failed = [part for part in ended if part.code]
    print("\n== parts", *ended, *(line for part in ended for line in _SKIPPED.findall(part.said)), sep="\n")
    for part in failed:
        print(f"\n== failed: {part.name}", *failures(part), sep="\n")
    return int(bool(failed))


def failures(part: Ended) -> list[str]:
    """Return what a failed part says of its failures; its last lines where it says nothing that looks like one."""
    return _FAILED.findall(part.said)[-_FAILURES_TOLD:] or part.said.splitlines()[-5:]


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
