"""The PodDisruptionBudget of a service that has several pods: they leave one by one.

An only pod may leave too, so that there is a budget from the second pod on. It stays while there may be two again.
"""

from orderflow_model.flow import OrderFlow
from orderflow_model.names import object_name
from orderflow_model.spec.services import Service
from orderflow_operator.kubernetes.kinds import POD_DISRUPTION_BUDGET
from orderflow_operator.kubernetes.labels import Object, new_object, pod_selector, service_labels
from orderflow_operator.resources.build_context import BuildContext


def name(flow: OrderFlow, service: str) -> str:
    """Return the budget's name."""
    return object_name(flow.metadata.name, service)


def is_needed(service: Service, context: BuildContext) -> bool:
    """Return whether a service has, or had, pods to guard."""
    return service.scale.min > 1 or (service.scale.max > 1 and service.name in context.several)


def build(flow: OrderFlow, service: str) -> Object:
    """Return the budget."""
    built = new_object(POD_DISRUPTION_BUDGET, name(flow, service), flow, service_labels(flow, service))
    built["spec"] = {"maxUnavailable": 1, "selector": {"matchLabels": pod_selector(flow, service)}}
    return built
