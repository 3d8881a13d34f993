"""The PodDisruptionBudget of a process that has several pods: they leave one by one.

An only pod may leave too, so that there is a budget from the second pod on. It stays while there may be two again.
"""

from orderflow_model.flow import OrderFlow
from orderflow_model.names import object_name
from orderflow_model.placement import ServiceProcess
from orderflow_operator.kubernetes.kinds import POD_DISRUPTION_BUDGET
from orderflow_operator.kubernetes.labels import Object, new_object, pod_selector, service_labels
from orderflow_operator.resources.build_context import BuildContext


def name(flow: OrderFlow, process: str) -> str:
    """Return the budget's name."""
    return object_name(flow.metadata.name, process)


def is_needed(process: ServiceProcess, context: BuildContext) -> bool:
    """Return whether a process has, or had, pods to guard."""
    return process.scale.min > 1 or (process.scale.max > 1 and process.name in context.several)


def build(flow: OrderFlow, process: str) -> Object:
    """Return the budget."""
    built = new_object(POD_DISRUPTION_BUDGET, name(flow, process), flow, service_labels(flow, process))
    built["spec"] = {"maxUnavailable": 1, "selector": {"matchLabels": pod_selector(flow, process)}}
    return built
