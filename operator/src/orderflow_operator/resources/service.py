"""The Kubernetes Service before a service's pods: health and its own HTTP interface. Metrics are read from pods."""

from orderflow_model.flow import OrderFlow
from orderflow_model.names import object_name
from orderflow_operator.kubernetes.kinds import SERVICE
from orderflow_operator.kubernetes.labels import Object, new_object, pod_selector, service_labels

PORT = 80
PORT_NAME = "http"


def name(flow: OrderFlow, service: str) -> str:
    """Return the Service's name, which is its host name within the namespace."""
    return object_name(flow.metadata.name, service)


def build(flow: OrderFlow, service: str) -> Object:
    """Return the Service."""
    built = new_object(SERVICE, name(flow, service), flow, service_labels(flow, service))
    built["spec"] = {
        "selector": pod_selector(flow, service),
        "ports": [{"name": PORT_NAME, "port": PORT, "protocol": "TCP", "targetPort": PORT_NAME}],
    }
    return built
