"""The container of a program that is handed its events, beside its dispatcher in a pod of whatever process that is in.

It has neither Kafka's credentials nor the database's: those are the dispatcher's.
"""

from orderflow_model import environment
from orderflow_model.flow import OrderFlow
from orderflow_model.placement import ServiceProcess
from orderflow_model.spec.services import Service
from orderflow_operator.kubernetes.labels import Object
from orderflow_operator.resources.pod import hardened, own_env, plain, resources


def build_all(flow: OrderFlow, process: ServiceProcess) -> list[Object]:
    """Return the containers of the programs whose dispatchers are in a process."""
    ports = process.http_ports
    return [_container(service, ports[service.name]) for service in flow.pushed if service.name in ports]


def _container(service: Service, dispatcher_port: int) -> Object:
    assert service.push is not None  # noqa: S101 - of `pushed`
    port, own = service.push.port, own_env(service)
    named = {one["name"] for one in own}
    told = environment.program_environment(port, dispatcher_port)
    container = {
        "name": f"{service.name}-app",
        "image": service.image,
        "env": [*(plain(name, value) for name, value in told.items() if name not in named), *own],
        "ports": [{"containerPort": port, "protocol": "TCP"}],
        "resources": resources(service.resources),
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 3},
    }
    if service.command:
        container["command"] = list(service.command)
    return hardened(container)
