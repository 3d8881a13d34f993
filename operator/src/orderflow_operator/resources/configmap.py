"""The ConfigMap that says as whom the autoscaler looks. What a service is told stands in its pods: `deployment.py`."""

from orderflow_model.flow import OrderFlow
from orderflow_operator.kafka.acls import autoscaler_user
from orderflow_operator.kubernetes.kinds import CONFIG_MAP
from orderflow_operator.kubernetes.labels import Object, flow_labels, new_object

USER_NAME_KEY = "username"


def autoscaler_name(flow: OrderFlow) -> str:
    """Return the name of the ConfigMap that holds the autoscaler's user name."""
    return f"{flow.metadata.name}.autoscaler"


def build_autoscaler(flow: OrderFlow) -> Object:
    """Return the ConfigMap with the autoscaler's user name: KEDA takes it from a reference alone."""
    built = new_object(CONFIG_MAP, autoscaler_name(flow), flow, flow_labels(flow, "autoscaler"))
    built["data"] = {USER_NAME_KEY: autoscaler_user(flow)}
    return built
