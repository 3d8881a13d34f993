"""The sample service on real Kafka and Postgres, wired by `app.py` itself, in the test's own process or in others."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg

from orderflow_cli.servers.ports import free_port
from orderflow_model import environment
from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import parse_flow
from orderflow_model.service_config import ServiceConfig
from orderflow_model.service_part import service_config
from orderflow_runtime.app import kafka_settings
from orderflow_runtime.core.event_log import Consumer, Message, Producer
from orderflow_runtime.core.store import Store
from orderflow_runtime.dispatch.effects import Clock
from orderflow_runtime.ending import Ending
from orderflow_runtime.http_server import HttpSettings
from orderflow_runtime.kafka.handover import Handover
from orderflow_runtime.kafka.kafka_log import KafkaLog
from orderflow_runtime.postgres.lock_membership import LockedShards
from orderflow_runtime.postgres.postgres_store import PostgresStore
from orderflow_runtime.process import Process
from orderflow_runtime.service import Service
from orderflow_runtime.settings import Settings
from support.flow.fleet import Fleet, until
from support.records.poison import read_topic
from support.runtime.running import message
from support.runtime.sample_service import Done, Keyed, Outside, Script, sample_service

_TESTS = Path(__file__).parents[2]


def sample_flow(name: str, partitions: int = 3) -> OrderFlow:
    """A flow of the sample service, its publish-only sister, and nobody else."""
    command = ["python", "-m", "support.runtime.sample_service_main"]
    services = [
        {"name": "sample", "image": "t", "command": command, "subscribes": ["PUT", "PAT"], "publishes": ["DONE"]},
        {"name": "source", "image": "t", "command": command, "publishes": ["DONE"]},
    ]
    delivery = {"retries": 3, "delay": "10ms", "maxDelay": "50ms", "timeout": "5s"}
    spec = {
        "kafka": {"provisioner": "Strimzi", "cluster": "events"},
        "database": {"secretKeyRef": {"name": "db", "key": "uri"}},
        "defaults": {"topic": {"partitions": partitions}, "delivery": delivery},
        "events": [{"name": name} for name in ("PUT", "PAT", "DONE")],
        "services": services,
    }
    return parse_flow(
        {"apiVersion": "orderflow.dev/v1alpha1", "kind": "OrderFlow", "metadata": {"name": name}, "spec": spec}
    )


class Site:
    """Topics and schemas of a sample flow; `fleet` starts its services as processes, `running` one in this process."""

    def __init__(self, flow: OrderFlow, bootstrap: str, admin_url: str, folder: Path) -> None:
        self.fleet = Fleet(flow, bootstrap, admin_url, folder)
        self.fleet.extra_env["PYTHONPATH"] = os.pathsep.join([str(_TESTS), os.environ.get("PYTHONPATH", "")])
        self.config: ServiceConfig = service_config(flow, "sample")
        self.script = Script()
        self.outside = Outside()
        self._sender = KafkaLog(kafka_settings(self.settings("sample", "sender")), Handover())

    def settings(self, service: str, instance: str = "i0") -> Settings:
        """Give what a process would read from its environment."""
        config = service_config(self.fleet.flow, service)
        return Settings(config, self.fleet.env(service, instance) | {environment.HTTP_PORT: str(free_port())})

    def store(self, service: str = "sample") -> PostgresStore:
        """A store of its own connections, by the service's own role."""
        return PostgresStore(self.settings(service).env[environment.DATABASE_URL], service)

    @asynccontextmanager
    async def running(
        self,
        service: Service | None = None,
        instance: str = "i0",
        wrap_producer: Callable[[Producer], Producer] = lambda producer: producer,
        wrap_store: Callable[[PostgresStore], Store] = lambda store: store,
        crash: bool = False,
    ) -> AsyncIterator[Process]:
        """Run a service here until the block ends: gracefully, or by a `crash`, which finishes nothing."""
        service = service or sample_service(self.script, self.outside)
        settings, store = self.settings(service.name, instance), self.store(service.name)
        log = KafkaLog(kafka_settings(settings), Handover())
        consumer: Consumer = log if settings.config.subscribes else LockedShards(log, store)
        ending = Ending()
        process = Process(service, settings, consumer, wrap_producer(log), wrap_store(store), Clock())
        task = asyncio.create_task(
            process.run(HttpSettings.read(settings.env), ending, {service.name: process.probes(ending)})
        )
        try:
            await until(lambda: task.done() or process._worker.ready, f"{instance} is ready")
            yield process
        finally:
            await (_end(task) if crash else _finish(task, ending))
            await consumer.stop()
            await store.stop()

    async def send(self, *events: Keyed, **changes: Any) -> None:
        """Put events on their topics."""
        await self.publish([message(self.config, event, **changes) for event in events])

    async def publish(self, messages: Sequence[Message]) -> None:
        """Put messages on their topics."""
        await self._sender.publish(messages)

    async def effects(self, key: str | None = None) -> list[str]:
        """Give the effects, in order; of one key if given."""
        rows = await self.fleet.fetch("SELECT what FROM sample.effects WHERE key = $1 OR $1 IS NULL ORDER BY at", key)
        return [row["what"] for row in rows]

    async def until_effects(self, count: int, key: str | None = None, seconds: float = 60) -> list[str]:
        """Wait for so many effects, and give them."""
        found: list[str] = []

        async def there() -> bool:
            found[:] = await self.effects(key)
            return len(found) >= count

        await until(there, f"{count} effects", seconds)
        return found

    async def results(self) -> list[tuple[str, int]]:
        """Give what was published (key, n), repeats left out, in order by key."""
        records = await read_topic(self.fleet.bootstrap, f"{self.config.flow}.done")
        first = {dict(record.headers)["ce_id"]: record for record in reversed(records)}
        kept = [record for record in records if first[dict(record.headers)["ce_id"]] is record]
        return [(record.key.decode(), Done.decode(record.value, 1).n) for record in kept]

    async def until_results(self, count: int, seconds: float = 60) -> list[tuple[str, int]]:
        """Wait for so many results, and give them."""
        found: list[tuple[str, int]] = []

        async def there() -> bool:
            found[:] = await self.results()
            return len(found) >= count

        await until(there, f"{count} results", seconds, every=0.3)
        return found

    async def close(self) -> None:
        """End all there is."""
        await self._sender.stop()
        await asyncio.to_thread(self.fleet.stop)


async def _finish(task: "asyncio.Task[None]", ending: Ending) -> None:
    ending.ask()
    await asyncio.wait_for(task, 30)


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def role_connection(site: Site, service: str = "sample") -> asyncpg.Connection:
    """Connect as the service does."""
    url: str = site.settings(service).env[environment.DATABASE_URL]
    return await asyncpg.connect(url, server_settings={"search_path": service})
