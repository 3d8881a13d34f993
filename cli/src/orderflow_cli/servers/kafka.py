"""A real Apache Kafka on this machine: one KRaft node on loopback, its data in a given folder.

`orderflow run` starts one per flow; the tests start one per session and more where they stop and kill it. It works in
its folder and is told names relative to it: `log.dirs` is a list in a Java properties file, where a comma or a
backslash of somebody's path means something else.
"""

import base64
import os
import subprocess
import uuid
from pathlib import Path
from typing import IO

from confluent_kafka import KafkaException

from orderflow_cli.errors import StartError
from orderflow_cli.servers import child_process
from orderflow_cli.servers.kafka_admin import admin_client
from orderflow_cli.servers.kafka_jars import KafkaProgram
from orderflow_cli.servers.ports import HOST, free_port, is_listening
from orderflow_cli.servers.server import Server

# A heap that grows by need, and no shared memory of counters, which a thread of its own writes twenty times a second.
# The quick compiler alone: measured, it costs the broker 0.4 times the CPU of the full one in its first million events.
_JVM = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-XX:-UsePerfData", "-Xms64m", "-Xmx512m"]
_LOGGING = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"]

_FILE = "server.properties"
# Few threads and few beats: each is a wake-up, at rest too.
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=BROKER://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=BROKER://{host}:{port}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs=data
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1500
metadata.max.idle.interval.ms=5000
num.network.threads=1
num.io.threads=2
background.threads=2
group.coordinator.threads=1
share.coordinator.threads=1
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=2097152
"""


class Kafka(Server):
    """One broker that keeps its ports and its data."""

    NAME, FILES = "Kafka", "kafka"

    def __init__(self, directory: Path, program: KafkaProgram, port: int | None = None) -> None:
        super().__init__(directory)
        self._program = program
        self._port = port or free_port()
        self._controller_port = free_port()

    @property
    def bootstrap(self) -> str:
        """The address clients connect to, `host:port`."""
        return f"{HOST}:{self._port}"

    def _prepare(self) -> None:
        self._write_properties()
        if not (self._data / "meta.properties").exists():
            self._format()

    def _spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        command = [*self._java(), "kafka.Kafka", _FILE]
        return child_process.spawn(command, output=log, env=_environment(), cwd=self._directory)

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    def _java(self) -> list[str]:
        return [self._program.java, *_JVM, *self._program.options, *_LOGGING, "-cp", f"{self._program.jars}/*"]

    def _write_properties(self) -> None:
        text = _PROPERTIES.format(host=HOST, port=self._port, controller_port=self._controller_port)
        (self._directory / _FILE).write_text(text, encoding="utf-8")

    def _format(self) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "--config", _FILE]
        done = subprocess.run(  # noqa: S603 - fixed arguments
            [*self._java(), *tool],
            capture_output=True,
            text=True,
            check=False,
            env=_environment(),
            cwd=self._directory,
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


def _environment() -> dict[str, str]:
    """Return this process's environment with a locale in which Java can name every folder."""
    return {**os.environ, "LC_ALL": "C.UTF-8"}
