"""Finds a flow that `orderflow run` started in a state directory, for the commands that work on a running one."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from orderflow_cli.errors import NotRunningError
from orderflow_cli.local.kafka_choice import MOCK, REAL
from orderflow_cli.local.state import FLOW_FILE, StateFile, read_state_file
from orderflow_cli.servers.ports import HOST
from orderflow_model.flow import OrderFlow
from orderflow_model.names import role_name
from orderflow_model.postgres_uri import Host, PostgresUri

_START = "Start it with orderflow run, or say where it is"


@dataclass(frozen=True)
class RunningFlow:
    """A flow's addresses on this machine."""

    name: str
    path: Path
    state: StateFile

    def url(self, service: str) -> str:
        """Return the base URL of a service; raise `NotRunningError` when the flow has none of this name."""
        return f"http://{HOST}:{self._port(service)}"

    def entry_url(self) -> str:
        """Return the base URL of the service that takes orders; raise `NotRunningError` when the flow has none."""
        if (service := self.flow().entry_service) is None:
            raise NotRunningError(f"no service of {self.name} begins a saga, so it takes no orders", _START)
        return self.url(service.name)

    def flow(self) -> OrderFlow:
        """Return the resource that its last run was started with; raise `NotRunningError` where none is kept."""
        try:
            return OrderFlow.model_validate_json((self.path / FLOW_FILE).read_bytes())
        except (OSError, ValidationError):
            raise NotRunningError(f"flow {self.name} was not started here by this version", _START) from None

    def database(self, service: str) -> PostgresUri:
        """Return the flow's database, as the service's own role."""
        role, password = role_name(self.name, service), self.state.passwords.get(service)
        if password is None:
            raise NotRunningError(f"flow {self.name} has no service {service} here", _START)
        return self._postgres().for_role(role, password)

    def database_of_all(self) -> PostgresUri:
        """Return the flow's database, as its superuser."""
        return self._postgres().for_role("postgres", self.state.passwords.get("admin", ""))

    def bootstrap(self) -> str:
        """Return the Kafka of its last run."""
        kind = self.state.kafka
        if kind == MOCK:
            return self._mock_address()
        return f"{HOST}:{self._port('kafka')}" if kind in (REAL, None) else kind

    def _mock_address(self) -> str:
        try:
            return (self.path / "kafka" / "mock.address").read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            raise NotRunningError(f"flow {self.name} runs no kafka here", _START) from None

    def _postgres(self) -> PostgresUri:
        return PostgresUri((Host(HOST, self._port("postgres")),), self.name)

    def _port(self, name: str) -> int:
        if name not in self.state.ports:
            raise NotRunningError(f"flow {self.name} runs no {name} here", _START)
        return self.state.ports[name]


def find_flow(base: Path, name: str | None = None) -> RunningFlow:
    """Return the flow of this name in the state directory, or the only one; raise `NotRunningError` or `StateError`."""
    found = {file.parent.name: file for file in sorted(base.glob("*/state.json"))}
    if name is None and len(found) > 1:
        raise NotRunningError(f"{base} has several flows: {', '.join(found)}", "Say which with --flow")
    name = name or next(iter(found), "")
    if name not in found:
        raise NotRunningError(f"{base} has no flow {name}".rstrip(), _START)
    return RunningFlow(name, found[name].parent, read_state_file(found[name]))
