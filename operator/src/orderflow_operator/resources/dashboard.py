"""The ConfigMap with the flow's Grafana dashboard, under the label by which Grafana's sidecar finds it.

A grafana-operator reads the same ConfigMap by the `configMapRef` of a GrafanaDashboard.
"""

from orderflow_model.flow import OrderFlow
from orderflow_operator.kubernetes.kinds import CONFIG_MAP
from orderflow_operator.kubernetes.labels import Object, flow_labels, new_object
from orderflow_operator.monitoring.dashboard import dashboard

LABEL = {"grafana_dashboard": "1"}


def name(flow: OrderFlow) -> str:
    """Return the ConfigMap's name."""
    return f"{flow.metadata.name}.dashboard"


def key(flow: OrderFlow) -> str:
    """Return the key of the JSON: the sidecar makes a file of that name, in one folder for all namespaces."""
    return f"{dashboard.uid(flow)}.json"


def build(flow: OrderFlow) -> Object:
    """Return the ConfigMap."""
    built = new_object(CONFIG_MAP, name(flow), flow, flow_labels(flow, "monitoring") | LABEL)
    built["data"] = {key(flow): dashboard.text(flow)}
    return built
