"""A real Apache Kafka on this machine: one KRaft node on loopback, its data in a given folder.

`orderflow run` starts one per flow; the tests start one per session and more where they stop and kill it.
"""

import base64
import signal
import subprocess
import uuid
from pathlib import Path

from confluent_kafka import KafkaException

from orderflow_cli import children
from orderflow_cli.admin import admin_client
from orderflow_cli.errors import StartError
from orderflow_cli.kafka_jars import KafkaProgram
from orderflow_cli.ports import HOST, free_port, is_listening

# The quick compiler alone: measured, it costs the broker 0.4 times the CPU of the full one in its first million events.
_JVM = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xms256m", "-Xmx512m"]
_LOGGING = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"]

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=BROKER://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=BROKER://{host}:{port}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs={data}
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=16777216
"""


class Kafka:
    """One broker that keeps its ports and its data over stop, kill and restart."""

    def __init__(self, directory: Path, program: KafkaProgram, port: int | None = None) -> None:
        self._directory = directory
        self._program = program
        self._log = directory / "kafka.log"
        self._pid_file = directory / "kafka.pid"
        self._port = port or free_port()
        self._controller_port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """The address clients connect to, `host:port`."""
        return f"{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The broker's process number while it runs."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """False before start, after stop, and when the process ended by itself."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Format the data folder on the first start, start the broker, return when it answers (≈ 2 s)."""
        self._directory.mkdir(parents=True, exist_ok=True)
        children.end_leftover(self._pid_file)
        self._write_properties()
        if not (self._data / "meta.properties").exists():
            self._format()
        with self._log.open("ab") as log:
            command = [*self._java(), "kafka.Kafka", *self._arguments]
            self._process = children.spawn(command, output=log)
        children.record(self._process.pid, self._pid_file)
        children.wait_until(self._answers, self._process, "Kafka", self._log, timeout_s=60)

    def stop(self) -> None:
        """Shut down cleanly; data and ports stay."""
        self._end(signal.SIGTERM, grace_s=15)

    def kill(self) -> None:
        """SIGKILL the broker, as a crash would."""
        self._end(signal.SIGKILL, grace_s=15)

    def restart(self) -> None:
        """Stop, then start on the same ports with the same data."""
        self.stop()
        self.start()

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    @property
    def _arguments(self) -> list[str]:
        return [str(self._directory / "server.properties")]

    def _java(self) -> list[str]:
        return [self._program.java, *_JVM, *_LOGGING, "-cp", f"{self._program.jars}/*"]

    def _write_properties(self) -> None:
        text = _PROPERTIES.format(host=HOST, port=self._port, controller_port=self._controller_port, data=self._data)
        (self._directory / "server.properties").write_text(text, encoding="utf-8")

    def _format(self) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "--config", *self._arguments]
        done = subprocess.run(  # noqa: S603 - fixed arguments
            [*self._java(), *tool], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            said = done.stderr.strip()[-500:]
            raise StartError(f"Kafka's storage could not be formatted: {said}", f"Remove {self._data}")

    def _answers(self) -> bool:
        if not is_listening(self._port):
            return False
        try:
            return bool(admin_client(self.bootstrap).list_topics(timeout=5).brokers)
        except KafkaException:
            return False

    def _end(self, ask: signal.Signals, grace_s: float) -> None:
        if self._process is not None:
            children.stop(self._process, ask, grace_s)
            self._process = None
        self._pid_file.unlink(missing_ok=True)
