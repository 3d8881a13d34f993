"""Turns the processes of a flow into programs for the supervisor, each with the environment of its Deployment.

What differs from a pod is only where things are: hosts of the flow become loopback ports, a Secret's value comes
from the user's own environment, and a service that cannot run here as a process runs in docker.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orderflow_cli.errors import CannotRunHereError, StateError
from orderflow_cli.local import launch
from orderflow_cli.local.addresses import Addresses
from orderflow_cli.local.state import State
from orderflow_cli.local.supervisor import Program
from orderflow_cli.servers.ports import HOST
from orderflow_model import environment
from orderflow_model.flow import OrderFlow
from orderflow_model.names import object_name, role_name
from orderflow_model.placement import processes
from orderflow_model.postgres_uri import Host, PostgresUri
from orderflow_model.service_part import service_config
from orderflow_model.spec.placement import Placement
from orderflow_model.spec.privacy import PRIVACY
from orderflow_model.spec.services import EnvVar, Service

PROVIDER_VARIABLE = "PAYMENT_PROVIDER_URL"
PROVIDER = "payment-provider"

# What any process needs of the machine; a pod gets as much from its image. Nothing else of the user's shell passes.
_FROM_SHELL = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", *environment.OPENTELEMETRY)


@dataclass(frozen=True)
class Backends:
    """Where Kafka and the flow's database are."""

    kafka_bootstrap: str
    database_port: int


def check_runnable(flow: OrderFlow, shell: Mapping[str, str]) -> None:
    """Raise `CannotRunHereError`, which names the service, where one of the flow's could not be run on this machine."""
    for service in (*flow.services, *flow.pushed):
        launch.check(service)
        for variable in service.env:
            _value(service, variable, shell)


def service_programs(
    flow: OrderFlow, placement: Placement, state: State, backends: Backends, shell: Mapping[str, str]
) -> list[Program]:
    """Return the flow's processes, whose services were checked, then what they need beside them.

    A service that is another program than a module of ours runs by itself, wherever it is placed.
    """
    addresses = flow_addresses(flow, state)

    def alone(service: Service) -> Program:
        return _alone(flow, service, _environment(flow, service, state, backends, addresses, shell), state, shell)

    programs: list[Program] = []
    for process in processes(flow, placement):
        sharing = [service for service in process.services if launch.can_share(service)]
        if len(sharing) > 1:
            own = {one.name: _environment(flow, one, state, backends, addresses, shell) for one in sharing}
            programs.append(_shared(process.group, sharing, own, state, shell))
        programs += [alone(one) for one in process.services if len(sharing) < 2 or one not in sharing]
    programs += [_pushed(flow, service, state, addresses, shell) for service in flow.pushed]
    return programs + _companions(flow, state, addresses, shell)


def flow_addresses(flow: OrderFlow, state: State) -> Addresses:
    """Return where each host that the flow's variables may name is on this machine."""
    name = flow.metadata.name
    hosts = {object_name(name, service.name): state.port(service.name) for service in flow.services}
    provider = _provider_url(flow)
    return Addresses(hosts, {provider: state.port(PROVIDER)} if provider else {})


def _environment(
    flow: OrderFlow,
    service: Service,
    state: State,
    backends: Backends,
    addresses: Addresses,
    shell: Mapping[str, str],
) -> dict[str, str]:
    """Return the variables of a service's own; its part of the resource is written where they say."""
    config = _config_file(service, state)
    try:
        config.write_text(service_config(flow, service.name).model_dump_json(indent=1), encoding="utf-8")
    except OSError as error:
        raise StateError(f"{config} cannot be written: {error.strerror}", "Give another folder with --state") from None
    variables = {variable.name: addresses.rewrite(_value(service, variable, shell)) for variable in service.env}
    return variables | _platform(flow, service, state, backends) | {environment.CONFIG: str(config)}


def _config_file(service: Service, state: State) -> Path:
    return state.folder("config") / f"{service.name}.json"


def _alone(
    flow: OrderFlow, service: Service, own: Mapping[str, str], state: State, shell: Mapping[str, str]
) -> Program:
    container = object_name(flow.metadata.name, service.name)
    command = launch.command(service, container, _config_file(service, state), own)
    return _program(service.name, command, {**machine_environment(shell), **own}, state)


def _pushed(flow: OrderFlow, service: Service, state: State, addresses: Addresses, shell: Mapping[str, str]) -> Program:
    """Return a program that is handed its events: it knows neither Kafka nor the database."""
    told = environment.program_environment(state.port(_program_of(service.name)), state.port(service.name))
    own = told | {variable.name: addresses.rewrite(_value(service, variable, shell)) for variable in service.env}
    command = launch.command(service, f"{object_name(flow.metadata.name, service.name)}-app", None, own)
    return _program(_program_of(service.name), command, {**machine_environment(shell), **own}, state)


def _program_of(service: str) -> str:
    """Return what the program beside a dispatcher is called here; no service has such a name."""
    return f"{service}.app"


def _shared(
    name: str,
    services: Sequence[Service],
    own: Mapping[str, Mapping[str, str]],
    state: State,
    shell: Mapping[str, str],
) -> Program:
    """Return the process of several services; each writes its log into its own file all the same."""
    env = machine_environment(shell)
    for service, variables in own.items():
        told = {**variables, environment.LOG_FILE: str(_log_file(service, state))}
        env |= {environment.own_name(service, variable): value for variable, value in told.items()}
    return replace(_program(name, launch.shared_command(services), env, state), services=tuple(own))


def _platform(flow: OrderFlow, service: Service, state: State, backends: Backends) -> dict[str, str]:
    """Return the variables that the platform sets, in a pod as here; nobody stands before a process that is to end."""
    name = flow.metadata.name
    database = PostgresUri((Host(HOST, backends.database_port),), name)
    secret = flow.spec.privacy is not None and service.name in flow.spec.privacy.readers
    pushed = {environment.APP_PORT: str(state.port(_program_of(service.name)))} if service.push is not None else {}
    return (
        pushed
        | ({environment.PRIVACY_KEY: state.password(PRIVACY)} if secret else {})
        | {
            environment.DATABASE_URL: database.for_role(
                role_name(name, service.name), state.password(service.name)
            ).render(),
            environment.KAFKA_BOOTSTRAP: backends.kafka_bootstrap,
            environment.KAFKA_SECURITY_PROTOCOL: "PLAINTEXT",
            environment.HTTP_HOST: HOST,
            environment.HTTP_PORT: str(state.port(service.name)),
            environment.HTTP_KEEP_ALIVE: str(service.http_keep_alive.seconds),
            environment.INSTANCE: f"{service.name}-0",
        }
    )


def _value(service: Service, variable: EnvVar, shell: Mapping[str, str]) -> str:
    if variable.value is not None:
        return variable.value
    if variable.name not in shell:
        raise CannotRunHereError(
            f"service {service.name} takes {variable.name} from a Secret or ConfigMap of the cluster",
            f"Set {variable.name} in your environment for a run on this machine",
        )
    return shell[variable.name]


def _companions(flow: OrderFlow, state: State, addresses: Addresses, shell: Mapping[str, str]) -> list[Program]:
    """Return the payment provider's simulator, where a service names the provider's address."""
    if _provider_url(flow) is None:
        return []
    env = {
        environment.HTTP_HOST: HOST,
        environment.HTTP_PORT: str(state.port(PROVIDER)),
        "PROVIDER_STATE": str(state.path / "payment-provider.journal"),
    }
    command = launch.Command([sys.executable, "-m", "orderflow_provider"])
    return [_program(PROVIDER, command, {**machine_environment(shell), **env}, state)]


def _provider_url(flow: OrderFlow) -> str | None:
    variables = [variable for service in (*flow.services, *flow.pushed) for variable in service.env]
    return next((variable.value for variable in variables if variable.name == PROVIDER_VARIABLE), None)


def _program(name: str, command: launch.Command, env: Mapping[str, str], state: State) -> Program:
    return Program(name, command.argv, env, _log_file(name, state), state.folder("pids"), command.clear)


def _log_file(name: str, state: State) -> Path:
    return state.folder("logs") / f"{name}.log"


def machine_environment(shell: Mapping[str, str]) -> dict[str, str]:
    """Return what any process of a run has of the machine."""
    path = os.pathsep.join([str(Path(sys.executable).parent), shell.get("PATH", os.defpath)])
    return {name: shell[name] for name in _FROM_SHELL if name in shell} | {"PATH": path}
