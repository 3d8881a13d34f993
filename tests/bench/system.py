"""The system under test: a real Kafka, a real Postgres and the flow's services, as `orderflow run` would have them."""

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import cost

from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.postgres import Postgres, create_database
from orderflow_model.flow import OrderFlow
from orderflow_model.names import role_name
from orderflow_payment import domain
from orderflow_runtime.postgres.migrator import migrate
from support.flow.fleet import PASSWORD, Fleet
from support.tools.programs import executed
from support.tools.servers import new_kafka, new_postgres

_IN_PROCESS = ("python", "-m", "payment_in_process")


@dataclass(frozen=True)
class Servers:
    """Kafka and Postgres, running."""

    kafka: Kafka
    postgres: Postgres

    async def database(self, flow: OrderFlow, name: str) -> dict[str, str]:
        """Make a database with the flow's schemas; give each service's URL of it."""
        await create_database(self.postgres.admin_url(), name)
        services = [service.name for service in flow.spec.services]
        await migrate(self.postgres.admin_url(name), flow, dict.fromkeys(services, PASSWORD))
        address = self.postgres.admin_url(name).rpartition("@")[2]
        roles = {service: role_name(flow.metadata.name, service) for service in services}
        return {service: f"postgresql://{role}:{PASSWORD}@{address}" for service, role in roles.items()}


@asynccontextmanager
async def servers(folder: Path) -> AsyncIterator[Servers]:
    """Start both; stop both."""
    both = Servers(new_kafka(folder), new_postgres(folder))
    try:
        both.kafka.start()
        both.postgres.start()
        yield both
    finally:
        both.kafka.stop()
        both.postgres.stop()


@dataclass(frozen=True)
class System:
    """The flow, running."""

    servers: Servers
    fleet: Fleet

    @property
    def pids(self) -> Mapping[str, int]:
        """Every process of the system, by name; the one that services share is `services`."""
        names: defaultdict[int, list[str]] = defaultdict(list)
        for name, process in self.fleet.processes.items():
            names[process.pid].append(name.removesuffix("-0"))
        found = {of[0] if len(of) == 1 else "services": pid for pid, of in names.items()}
        return found | {"kafka": self.servers.kafka.pid or 0, "postgres": self.servers.postgres.pid or 0}

    def read(self) -> cost.Reading:
        """Read the CPU clocks."""
        return cost.read(self.pids)

    async def restart_over_http(self, flow: OrderFlow) -> None:
        """Let payment call the provider over HTTP: start all as the flow has them."""
        self.fleet.start_provider()
        await self.restart(flow)

    async def restart(self, flow: OrderFlow) -> None:
        """Start all services anew, with another flow."""
        names = [f"{service.name}-0" for service in flow.services]
        for name in names:
            if name in self.fleet.processes:  # it has not ended with one that shared its process
                await asyncio.to_thread(self.fleet.kill, name)
        self.fleet.flow = flow
        await self.fleet.until_ready(*map(self.fleet.start, (service.name for service in flow.services)))

    async def kill_and_restart(self, service: str) -> None:
        """SIGKILL a service's process and start it again at once, as the supervisor does."""
        self.fleet.kill(f"{service}-0")
        self.fleet.start(service)


@asynccontextmanager
async def running(servers: Servers, flow: OrderFlow, folder: Path) -> AsyncIterator[System]:
    """Start all services of a flow."""
    await servers.database(flow, "bench")
    await asyncio.to_thread(folder.mkdir)
    fleet = Fleet(flow, servers.kafka.bootstrap, servers.postgres.admin_url("bench"), folder)
    fleet.program = executed
    await fleet.prepare()
    try:
        await fleet.until_ready(*[fleet.start(service.name) for service in flow.services])
        yield System(servers, fleet)
    finally:
        fleet.stop()


def with_provider_inside(flow: OrderFlow) -> OrderFlow:
    """Return the flow with the payment provider in payment's own process: what HTTP to one costs is not ours."""
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # where that process finds its module
    other = {"command": _IN_PROCESS, "migrations": str(Path(domain.__file__).with_name("migrations"))}
    services = [
        service.model_copy(update=other) if service.name == "payment" else service for service in flow.spec.services
    ]
    return flow.model_copy(update={"spec": flow.spec.model_copy(update={"services": tuple(services)})})
