"""ConfigMaps: what each service is told of itself, and as whom the autoscaler looks.

What a service is told has the version in its name: pods of the version before, started anew, are told what they were.
"""

from orderflow_model.flow import OrderFlow
from orderflow_model.names import object_name
from orderflow_model.service_part import service_config
from orderflow_operator.kafka.acls import autoscaler_user
from orderflow_operator.kubernetes.kinds import CONFIG_MAP
from orderflow_operator.kubernetes.labels import Object, digest, flow_labels, new_object, service_labels

SERVICE_KEY = "service.json"
USER_NAME_KEY = "username"


def autoscaler_name(flow: OrderFlow) -> str:
    """Return the name of the ConfigMap that holds the autoscaler's user name."""
    return f"{flow.metadata.name}.autoscaler"


def build(flow: OrderFlow, service: str) -> Object:
    """Return the ConfigMap whose file a service reads at its start."""
    told = service_config(flow, service).model_dump_json()
    name = f"{object_name(flow.metadata.name, service)}.{digest(told)}"
    built = new_object(CONFIG_MAP, name, flow, service_labels(flow, service))
    built["data"] = {SERVICE_KEY: told}
    return built


def build_autoscaler(flow: OrderFlow) -> Object:
    """Return the ConfigMap with the autoscaler's user name: KEDA takes it from a reference alone."""
    built = new_object(CONFIG_MAP, autoscaler_name(flow), flow, flow_labels(flow, "autoscaler"))
    built["data"] = {USER_NAME_KEY: autoscaler_user(flow)}
    return built
