"""KEDA's TriggerAuthentication: where the autoscaler's user name, password and the cluster's certificate stand."""

from orderflow_model.flow import OrderFlow
from orderflow_operator.access import autoscaler_user
from orderflow_operator.broker import CA_KEY, PASSWORD_KEY, Broker
from orderflow_operator.resources import configmap
from orderflow_operator.resources.metadata import Object, flow_labels, new_object

API_VERSION = "keda.sh/v1alpha1"
KIND = "TriggerAuthentication"


def name(flow: OrderFlow) -> str:
    """Return the object's name."""
    return autoscaler_user(flow)


def build(flow: OrderFlow, reach: Broker) -> Object:
    """Return the object; the flow's triggers share it."""
    built = new_object(API_VERSION, KIND, name(flow), flow, flow_labels(flow, "autoscaler"))
    secret = reach.secret(autoscaler_user(flow))
    secrets = [_target("password", secret, PASSWORD_KEY)]
    if reach.ca_secret:
        secrets.append(_target("ca", reach.ca_secret, CA_KEY))
    built["spec"] = {
        "secretTargetRef": secrets,
        "configMapTargetRef": [_target("username", configmap.autoscaler_name(flow), configmap.USER_NAME_KEY)],
    }
    return built


def _target(parameter: str, source: str, key: str) -> Object:
    return {"parameter": parameter, "name": source, "key": key}
