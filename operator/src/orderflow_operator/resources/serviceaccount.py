"""The ServiceAccount of a flow: a name for its services' pods, without a token to the API server.

What a service proves itself with are its own Secrets; nothing asks for its account, so that one is enough for all.
"""

from orderflow_model.flow import OrderFlow
from orderflow_operator.kubernetes.kinds import SERVICE_ACCOUNT
from orderflow_operator.kubernetes.labels import Object, flow_labels, new_object


def name(flow: OrderFlow) -> str:
    """Return the account's name."""
    return f"{flow.metadata.name}.services"


def build(flow: OrderFlow) -> Object:
    """Return the account."""
    account = new_object(SERVICE_ACCOUNT, name(flow), flow, flow_labels(flow, "services"))
    account["automountServiceAccountToken"] = False
    return account
