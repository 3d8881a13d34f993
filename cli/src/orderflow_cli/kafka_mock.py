"""Stand-in for Kafka where Java or Maven is missing: the mock cluster inside confluent-kafka, a process.

In memory, 4 partitions a topic, one instance a service. `orderflow run` says so when it uses it. Run as
`python -m orderflow_cli.kafka_mock FILE`, it writes its address to FILE and stays until it is ended.
"""

import signal
import subprocess
import sys
from pathlib import Path

from confluent_kafka import Producer

from orderflow_cli import children

PARTITIONS = 4


class MockKafka:
    """A child process that holds the mock cluster. Its port and its events are gone when it ends."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._address = directory / "mock.address"
        self._pid_file = directory / "kafka.pid"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """The address clients connect to, `host:port`, once started."""
        return self._address.read_text(encoding="ascii")

    @property
    def running(self) -> bool:
        """False before start, after stop, and when the process ended by itself."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process and return when it listens (≈ 0.2 s)."""
        self._directory.mkdir(parents=True, exist_ok=True)
        children.end_leftover(self._pid_file)
        self._address.unlink(missing_ok=True)
        log = self._directory / "kafka.log"
        with log.open("ab") as output:
            command = [sys.executable, "-m", "orderflow_cli.kafka_mock", str(self._address)]
            self._process = children.spawn(command, output=output)
        children.record(self._process.pid, self._pid_file)
        children.wait_until(self._address.exists, self._process, "The mock Kafka", log, timeout_s=30)

    def stop(self) -> None:
        """End the process, and with it all events."""
        if self._process is not None:
            children.stop(self._process, signal.SIGTERM, grace_s=5)
            self._process = None
        self._pid_file.unlink(missing_ok=True)


def _serve(address: Path) -> None:
    mock = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "replaced-by-the-mock"})
    broker = next(iter(mock.list_topics(timeout=10).brokers.values()))
    scratch = address.with_suffix(".new")
    scratch.write_text(f"{broker.host}:{broker.port}", encoding="ascii")
    scratch.rename(address)
    signal.pause()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
