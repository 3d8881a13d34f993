"""The HorizontalPodAutoscaler of a process where lag cannot be seen: without KEDA, or without subscriptions."""

from orderflow_model.flow import OrderFlow
from orderflow_model.names import object_name
from orderflow_model.placement import ServiceProcess
from orderflow_operator.kubernetes.kinds import DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER
from orderflow_operator.kubernetes.labels import Object, new_object, service_labels

LOAD_PERCENT = 70


def name(flow: OrderFlow, process: str) -> str:
    """Return the autoscaler's name."""
    return object_name(flow.metadata.name, process)


def build(flow: OrderFlow, process: ServiceProcess) -> Object:
    """Return the autoscaler, on processor load relative to the request."""
    labels = service_labels(flow, process.name)
    built = new_object(HORIZONTAL_POD_AUTOSCALER, name(flow, process.name), flow, labels)
    target = {"type": "Utilization", "averageUtilization": LOAD_PERCENT}
    built["spec"] = {
        "scaleTargetRef": DEPLOYMENT.type_meta | {"name": name(flow, process.name)},
        "minReplicas": process.scale.min,
        "maxReplicas": process.scale.max,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
    return built
