"""Stand-in for Kafka where Java or Maven is missing: the mock cluster inside confluent-kafka, a process.

In memory, 4 partitions a topic, one instance a service. `orderflow run` says so when it uses it. Run as
`python -m orderflow_cli.servers.kafka_mock FILE`, it writes its address to FILE and stays until it is ended.
"""

import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

from confluent_kafka import Producer

from orderflow_cli.servers import child_process
from orderflow_cli.servers.server import Server

PARTITIONS = 4


class MockKafka(Server):
    """A child process that holds the mock cluster. Its port and its events are gone when it ends."""

    NAME, FILES = "The mock Kafka", "kafka"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._address = directory / "mock.address"

    @property
    def bootstrap(self) -> str:
        """The address clients connect to, `host:port`, once started."""
        return self._address.read_text(encoding="ascii")

    def _prepare(self) -> None:
        self._address.unlink(missing_ok=True)

    def _spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return child_process.spawn(
            [sys.executable, "-m", "orderflow_cli.servers.kafka_mock", str(self._address)], output=log
        )

    def _answers(self) -> bool:
        return self._address.exists()


def _serve(address: Path) -> None:
    mock = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "replaced-by-the-mock"})
    broker = next(iter(mock.list_topics(timeout=10).brokers.values()))
    scratch = address.with_suffix(".new")
    scratch.write_text(f"{broker.host}:{broker.port}", encoding="ascii")
    scratch.rename(address)
    signal.pause()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
