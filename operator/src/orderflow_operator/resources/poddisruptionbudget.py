"""The PodDisruptionBudget of a service that may have several pods: they leave one by one. An only one may leave too."""

from orderflow_model.flow import OrderFlow
from orderflow_model.names import object_name
from orderflow_operator.kubernetes.kinds import POD_DISRUPTION_BUDGET
from orderflow_operator.kubernetes.labels import Object, new_object, pod_selector, service_labels


def name(flow: OrderFlow, service: str) -> str:
    """Return the budget's name."""
    return object_name(flow.metadata.name, service)


def build(flow: OrderFlow, service: str) -> Object:
    """Return the budget."""
    built = new_object(POD_DISRUPTION_BUDGET, name(flow, service), flow, service_labels(flow, service))
    built["spec"] = {"maxUnavailable": 1, "selector": {"matchLabels": pod_selector(flow, service)}}
    return built
