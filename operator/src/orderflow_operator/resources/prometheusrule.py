"""The PrometheusRule of a flow: what is recorded of it, and when a person is called."""

from orderflow_model.flow import OrderFlow
from orderflow_operator.kubernetes.labels import Object, flow_labels, new_object
from orderflow_operator.monitoring.alerts import rules
from orderflow_operator.monitoring.settings import Monitoring

API_VERSION = "monitoring.coreos.com/v1"
KIND = "PrometheusRule"


def name(flow: OrderFlow) -> str:
    """Return the object's name."""
    return flow.metadata.name


def build(flow: OrderFlow, monitoring: Monitoring) -> Object:
    """Return the object."""
    built = new_object(API_VERSION, KIND, name(flow), flow, flow_labels(flow, "monitoring") | monitoring.labels)
    built["spec"] = {"groups": rules.groups(flow, monitoring.runbooks)}
    return built
