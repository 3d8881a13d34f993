"""The HorizontalPodAutoscaler of a service where lag cannot be seen: without KEDA, or without subscriptions."""

from orderflow_model.flow import OrderFlow
from orderflow_model.names import object_name
from orderflow_model.spec.services import Service
from orderflow_operator.kubernetes.kinds import DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER
from orderflow_operator.kubernetes.labels import Object, new_object, service_labels

LOAD_PERCENT = 70


def name(flow: OrderFlow, service: str) -> str:
    """Return the autoscaler's name."""
    return object_name(flow.metadata.name, service)


def build(flow: OrderFlow, service: Service) -> Object:
    """Return the autoscaler, on processor load relative to the request."""
    labels = service_labels(flow, service.name)
    built = new_object(HORIZONTAL_POD_AUTOSCALER, name(flow, service.name), flow, labels)
    target = {"type": "Utilization", "averageUtilization": LOAD_PERCENT}
    built["spec"] = {
        "scaleTargetRef": DEPLOYMENT.type_meta | {"name": name(flow, service.name)},
        "minReplicas": service.scale.min,
        "maxReplicas": service.scale.max,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
    return built
