"""KEDA's TriggerAuthentication: where the autoscaler's user name, password and the cluster's certificate stand."""

from orderflow_model.flow import OrderFlow
from orderflow_model.names import autoscaler_user_name
from orderflow_operator.kafka.connection import PASSWORD_KEY, KafkaConnection
from orderflow_operator.kubernetes.kinds import TRIGGER_AUTHENTICATION
from orderflow_operator.kubernetes.labels import Object, flow_labels, new_object
from orderflow_operator.resources import configmap


def name(flow: OrderFlow) -> str:
    """Return the object's name."""
    return autoscaler_user_name(flow.metadata.name)


def is_needed(connection: KafkaConnection) -> bool:
    """Return whether a trigger has anything to prove or to check."""
    return connection.mechanism is not None or connection.authority is not None


def build(flow: OrderFlow, connection: KafkaConnection) -> Object:
    """Return the object; the flow's triggers share it."""
    built = new_object(TRIGGER_AUTHENTICATION, name(flow), flow, flow_labels(flow, "autoscaler"))
    secrets, names = [], []
    if connection.mechanism:
        secrets.append(_target("password", connection.secret(autoscaler_user_name(flow.metadata.name)), PASSWORD_KEY))
        names.append(_target("username", configmap.autoscaler_name(flow), configmap.USER_NAME_KEY))
    if connection.authority:
        secrets.append(_target("ca", connection.authority.secret, connection.authority.key))
    built["spec"] = {"secretTargetRef": secrets} | ({"configMapTargetRef": names} if names else {})
    return built


def _target(parameter: str, source: str, key: str) -> Object:
    return {"parameter": parameter, "name": source, "key": key}
