"""The PrometheusRule of a flow: what is recorded of it, and when a person is called."""

from orderflow_model.flow import OrderFlow
from orderflow_operator.kubernetes.kinds import PROMETHEUS_RULE
from orderflow_operator.kubernetes.labels import Object, flow_labels, new_object
from orderflow_operator.monitoring.alerts import rules
from orderflow_operator.monitoring.settings import Monitoring


def name(flow: OrderFlow) -> str:
    """Return the object's name."""
    return flow.metadata.name


def build(flow: OrderFlow, monitoring: Monitoring) -> Object:
    """Return the object."""
    built = new_object(PROMETHEUS_RULE, name(flow), flow, flow_labels(flow, "monitoring") | monitoring.labels)
    built["spec"] = {"groups": rules.groups(flow, monitoring.runbooks)}
    return built
