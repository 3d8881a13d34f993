"""What Kafka, its mock and Postgres have in common as child processes: start, stop, kill, restart.

`kafka.py`, `kafka_mock.py` and `postgres.py` say what to run and when it answers; `stack.py` keeps them running.
"""

import signal
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO, ClassVar

from orderflow_cli.servers import child_process


class Server(ABC):
    """A child process in a directory of its own; but for the mock, ports and data stay over stop, kill and restart.

    `FILES` names its log and its pid file in its directory, `ASK` is the signal that ends it in good order.
    """

    NAME: ClassVar[str]
    FILES: ClassVar[str]
    ASK: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.log = directory / f"{self.FILES}.log"
        self._pid_file = directory / f"{self.FILES}.pid"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its process number while it runs."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """False before start, after stop, and when the process ended by itself."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Make what is missing on the first start, start the process, return when it answers (≈ 2 s)."""
        self._directory.mkdir(parents=True, exist_ok=True)
        child_process.end_leftover(self._pid_file)
        self._prepare()
        with self.log.open("ab") as log:
            self._process = self._spawn(log)
        child_process.record(self._process.pid, self._pid_file)
        child_process.wait_until(self._answers, self._process, self.NAME, self.log, timeout_s=60)

    def stop(self, grace_s: float = 15) -> None:
        """Shut down in good order; kill it when that takes longer."""
        if self._process is not None:
            child_process.stop(self._process, self.ASK, grace_s)
            self._process = None
        self._pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """Send SIGKILL to the process and its children, as a crash would."""
        if self._process is not None:
            child_process.kill_tree(self._process.pid)
        self.stop()

    def restart(self) -> None:
        """Stop, then start."""
        self.stop()
        self.start()

    @abstractmethod
    def _prepare(self) -> None:
        """Make the files that the process needs."""

    @abstractmethod
    def _spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start the process."""

    @abstractmethod
    def _answers(self) -> bool:
        """Return whether clients may come."""
