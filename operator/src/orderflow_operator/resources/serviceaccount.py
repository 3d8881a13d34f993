"""The ServiceAccount of a service: a name for its pods, without a token to the API server."""

from orderflow_model.flow import OrderFlow
from orderflow_model.names import object_name
from orderflow_operator.kubernetes.kinds import SERVICE_ACCOUNT
from orderflow_operator.kubernetes.labels import Object, new_object, service_labels


def name(flow: OrderFlow, service: str) -> str:
    """Return the account's name."""
    return object_name(flow.metadata.name, service)


def build(flow: OrderFlow, service: str) -> Object:
    """Return the account."""
    account = new_object(SERVICE_ACCOUNT, name(flow, service), flow, service_labels(flow, service))
    account["automountServiceAccountToken"] = False
    return account
