"""A service that hears of some things late: its own composition root, which does not read the topics a file names.

Run as `python delayed_consumer.py SERVICE FILE`. While FILE names a topic, one a line, its events are kept back; all
else flows. So a test makes any event overtake any other, on real Kafka, as often as it likes.
"""

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import uvloop

from orderflow_model import environment
from orderflow_model.names import schema_name
from orderflow_runtime.app import kafka_settings
from orderflow_runtime.core.event_log import Partition, Position, Stretch
from orderflow_runtime.dispatch.effects import Clock
from orderflow_runtime.host import HostedService, run
from orderflow_runtime.http_server import HttpSettings
from orderflow_runtime.kafka.handover import Handover
from orderflow_runtime.kafka.kafka_log import KafkaLog, KafkaSettings
from orderflow_runtime.observability import logs
from orderflow_runtime.postgres.postgres_store import PostgresStore
from orderflow_runtime.service import Service
from orderflow_runtime.settings import Settings, required

_NEVER_LONGER = 0.1


class DelayedLog(KafkaLog):
    """Kafka, some of whose topics wait."""

    def __init__(self, settings: KafkaSettings, file: Path) -> None:
        super().__init__(settings, Handover())
        self._file = file
        self._kept: list[Stretch] = []

    async def resume(self, positions: Mapping[Partition, Position]) -> Mapping[Partition, Position]:
        """Read on; what was kept back is read again."""
        self._kept = [stretch for stretch in self._kept if stretch.partition not in positions]
        return await super().resume(positions)

    async def fetch(self, limit: int, wait: float) -> Sequence[Stretch]:
        """Give what is not held now."""
        held = self._file.read_text().split()
        if not any(stretch.partition.topic not in held for stretch in self._kept):
            self._kept += await super().fetch(limit, min(wait, _NEVER_LONGER))
        given = [stretch for stretch in self._kept if stretch.partition.topic not in held]
        self._kept = [stretch for stretch in self._kept if stretch.partition.topic in held]
        return given


async def work(service: Service, settings: Settings, file: Path) -> None:
    """Run the service until it is told to stop."""
    store = PostgresStore(required(os.environ, environment.DATABASE_URL), schema_name(service.name))
    log = DelayedLog(kafka_settings(settings), file)
    await run([HostedService(service, settings, log, log, store, HttpSettings.read(settings.env), store.stop)], Clock())


def main(name: str, file: str) -> None:
    """Build the service as its own `__main__` does, and run it."""
    settings = Settings.read(os.environ)
    service = importlib.import_module(f"orderflow_{name}.__main__").build(settings)
    logs.set_up(settings.config.flow, service.name, "INFO")
    uvloop.run(work(service, settings, Path(file)))


if __name__ == "__main__":
    main(*sys.argv[1:])
