"""The ServiceAccounts of a flow: a name for its services' pods, without a token to the API server.

What a service proves itself with are its own Secrets; nothing asks for its account, so that one is enough for all. The
lake and the console have their own, and who asks for one (`pod.serviceAccount`): a cloud may give rights on a bucket to
an account, and people reach the console.
"""

from collections.abc import Iterator

from orderflow_model.flow import OrderFlow
from orderflow_model.placement import ServiceProcess, processes
from orderflow_model.spec.console import CONSOLE
from orderflow_model.spec.lake import LAKE
from orderflow_operator.kubernetes.kinds import SERVICE_ACCOUNT
from orderflow_operator.kubernetes.labels import Object, flow_labels, new_object

_SERVICES = "services"


def name(flow: OrderFlow, process: ServiceProcess) -> str:
    """Return the name of the account that a process has."""
    return f"{flow.metadata.name}.{_component(flow, process)}"


def build(flow: OrderFlow) -> Iterator[Object]:
    """Yield the accounts."""
    annotations: dict[str, dict[str, str]] = {_SERVICES: {}}
    for process in processes(flow):
        asked = flow.pod(process.services[0]).service_account
        annotations[_component(flow, process)] = asked.annotations if asked else {}
    for component, said in annotations.items():
        account = new_object(SERVICE_ACCOUNT, f"{flow.metadata.name}.{component}", flow, flow_labels(flow, component))
        account["automountServiceAccountToken"] = False
        if said:
            account["metadata"]["annotations"] = dict(said)
        yield account


def _component(flow: OrderFlow, process: ServiceProcess) -> str:
    if process.name in _with_own(flow):
        return process.name
    return f"{_SERVICES}.{process.name}" if flow.pod(process.services[0]).service_account else _SERVICES


def _with_own(flow: OrderFlow) -> tuple[str, ...]:
    return (*([LAKE] if fills_lake(flow) else []), *([CONSOLE] if flow.spec.console else []))


def fills_lake(flow: OrderFlow) -> bool:
    """Return whether the flow has a lake that is filled here."""
    return flow.spec.analytics is not None and flow.spec.analytics.lake is not None
