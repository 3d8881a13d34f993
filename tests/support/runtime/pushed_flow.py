"""One service of examples/push as a user has it: its own program, its dispatcher, and orders on a real Kafka."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import yaml
from confluent_kafka import Consumer, Producer, TopicPartition

from orderflow_cli.servers.child_process import spawn
from orderflow_cli.servers.ports import free_port
from orderflow_contracts.envelope import Envelope
from orderflow_contracts.timestamps import read_time
from orderflow_model import environment
from orderflow_model.flow import OrderFlow
from orderflow_model.topics import event_topic
from support.flow.fleet import Fleet, until

ROOT = Path(__file__).parents[3]
FLOW = ROOT / "examples" / "push" / "flow.yaml"
_NOON = read_time("2026-01-01T12:00:00Z")


def flow_of(service: str, name: str, **push: object) -> OrderFlow:
    """Return the example flow with this service, and the desk, alone."""
    flow = yaml.safe_load(FLOW.read_text())
    flow["metadata"]["name"] = name
    spec = flow["spec"]
    spec["services"] = [one for one in spec["services"] if one["name"] in (service, "desk")]
    spec["services"][0]["push"] |= push
    spec["services"][0]["delivery"] = {"retries": 20, "delay": "100ms", "maxDelay": "1s"}
    spec["defaults"] = {"topic": {"partitions": 3, "replicas": 1}}
    if spec["services"][0]["push"]["protocol"] != "Dapr":
        del spec["events"][0]["topic"]
    return OrderFlow.model_validate(flow)


class PushedService:
    """A service, its program's journal, and how both are killed."""

    def __init__(self, fleet: Fleet, service: str, command: Sequence[str]) -> None:
        self.fleet = fleet
        self.service = service
        self._command = command
        self._port = free_port()
        self._program: subprocess.Popen[bytes] | None = None
        self._journal = fleet.folder / "journal"
        self._sent = 0
        fleet.extra_env[environment.APP_PORT] = str(self._port)
        fleet.ports[f"{service}-0"] = free_port()

    def start_program(self) -> None:
        """Start the program, in the root of the tree."""
        told = environment.program_environment(self._port, self.fleet.ports[f"{self.service}-0"])
        env = {**os.environ, **told, "JOURNAL": str(self._journal)}
        with (self.fleet.folder / "program.log").open("ab") as output:
            self._program = spawn([*self._command], output=output, env=env, cwd=ROOT)

    def start_dispatcher(self) -> None:
        """Start the dispatcher by itself."""
        self.fleet.start(self.service)

    def kill_program(self) -> None:
        """End the program at once."""
        assert self._program is not None
        self._program.kill()
        self._program.wait(30)

    def kill_dispatcher(self) -> None:
        """End the dispatcher at once."""
        self.fleet.kill(f"{self.service}-0", signal.SIGKILL)

    def send(self, count: int, keys: int = 100) -> None:
        """Put orders on the topic, of so many keys in turn, with ids that count."""
        topic = event_topic(self.fleet.flow, self.fleet.flow.spec.event("ORDER_PLACED")).name
        producer = Producer({"bootstrap.servers": self.fleet.bootstrap, "linger.ms": 5})
        for number in range(self._sent, self._sent + count):
            key = f"o{number % keys}"
            headers = Envelope(f"e{number:06}", "/test", "ORDER_PLACED", _NOON).headers()
            value = json.dumps({"orderId": key, "amount": number}).encode()
            producer.produce(topic, value, key, headers=headers)
            producer.poll(0)
        assert producer.flush(60) == 0
        self._sent += count

    @property
    def handled(self) -> list[tuple[str, str]]:
        """Return key and id of each call, in order."""
        if not self._journal.exists():
            return []
        return [(line.split()[0], line.split()[1]) for line in self._journal.read_text().splitlines() if " " in line]

    async def until_done(self, seconds: float) -> None:
        """Wait until all that was sent is taken in and nothing is to be done or published any more."""
        schema = f'"{self.service}"'
        query = f"""
            SELECT (SELECT count(*) FROM {schema}.inbox WHERE type IS NOT NULL) AS taken,
                   (SELECT count(*) FROM {schema}.parked) + (SELECT count(*) FROM {schema}.outbox) AS owed
        """  # noqa: S608 - the name of a service

        async def done() -> bool:
            [row] = await self.fleet.fetch(query)
            return bool(row["taken"] >= self._sent and row["owed"] == 0)

        await until(done, f"{self._sent} orders are handled, of which {len(self.handled)} were begun", seconds)

    def published(self) -> list[tuple[str, str]]:
        """Return key and id of every record on the topic of ORDER_CHECKED, a record that is there twice once."""
        topic = event_topic(self.fleet.flow, self.fleet.flow.spec.event("ORDER_CHECKED")).name
        reader = Consumer({"bootstrap.servers": self.fleet.bootstrap, "group.id": "reads", "enable.auto.commit": False})
        partitions = [TopicPartition(topic, number, 0) for number in range(3)]
        reader.assign(partitions)
        ends = {one.partition: reader.get_watermark_offsets(one)[1] for one in partitions}
        left, found, deadline = sum(ends.values()), dict[str, str](), time.monotonic() + 60
        while left and time.monotonic() < deadline:
            for record in reader.consume(500, 1):
                left -= 1
                found[dict(record.headers())["ce_id"].decode()] = record.key().decode()
        reader.close()
        assert left == 0
        return [(key, event_id) for event_id, key in found.items()]

    def stop(self) -> None:
        """End what still runs."""
        if self._program is not None:
            self._program.kill()
            self._program.wait(30)
        self.fleet.stop()
