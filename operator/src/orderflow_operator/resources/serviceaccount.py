"""The ServiceAccounts of a flow: a name for its services' pods, without a token to the API server.

What a service proves itself with are its own Secrets; nothing asks for its account, so that one is enough for all. The
lake has its own: a cluster may give rights on a bucket to an account.
"""

from collections.abc import Iterator

from orderflow_model.flow import OrderFlow
from orderflow_model.spec.lake import LAKE
from orderflow_operator.kubernetes.kinds import SERVICE_ACCOUNT
from orderflow_operator.kubernetes.labels import Object, flow_labels, new_object

_SERVICES = "services"


def name(flow: OrderFlow, process: str = "") -> str:
    """Return the name of the account that a process has."""
    return f"{flow.metadata.name}.{LAKE if process == LAKE and fills_lake(flow) else _SERVICES}"


def build(flow: OrderFlow) -> Iterator[Object]:
    """Yield the accounts."""
    for component in (_SERVICES, *([LAKE] if fills_lake(flow) else [])):
        account = new_object(SERVICE_ACCOUNT, f"{flow.metadata.name}.{component}", flow, flow_labels(flow, component))
        account["automountServiceAccountToken"] = False
        yield account


def fills_lake(flow: OrderFlow) -> bool:
    """Return whether the flow has a lake that is filled here."""
    return flow.spec.analytics is not None and flow.spec.analytics.lake is not None
