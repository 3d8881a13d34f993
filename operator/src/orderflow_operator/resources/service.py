"""The Kubernetes Service before a service's pods: health and its own HTTP interface. Metrics are read from pods."""

from orderflow_model.flow import OrderFlow
from orderflow_model.names import object_name
from orderflow_model.placement import ServiceProcess
from orderflow_operator.kubernetes.kinds import SERVICE
from orderflow_operator.kubernetes.labels import Object, digest, new_object, pod_selector, service_labels
from orderflow_operator.resources.pod import METRICS_PORT_NAME

PORT = 80
PORT_NAME = "http"
_PORT_NAME_MAX = 15


def name(flow: OrderFlow, service: str) -> str:
    """Return the Service's name, which is its host name within the namespace."""
    return object_name(flow.metadata.name, service)


def port_name(process: ServiceProcess, service: str) -> str:
    """Return what the HTTP port of a service is called in the pods of its process, which share no number for long."""
    if not process.is_shared:
        return PORT_NAME
    fits = len(service) <= _PORT_NAME_MAX and "--" not in service and service != METRICS_PORT_NAME
    return service if fits else f"{PORT_NAME}-{digest(service)}"


def build(flow: OrderFlow, service: str, process: ServiceProcess) -> Object:
    """Return the Service, before the pods of the process that the service runs in."""
    built = new_object(SERVICE, name(flow, service), flow, service_labels(flow, service))
    built["spec"] = {
        "selector": pod_selector(flow, process.name),
        "ports": [{"name": PORT_NAME, "port": PORT, "protocol": "TCP", "targetPort": port_name(process, service)}],
    }
    return built
