"""Strimzi's KafkaUser: one identity per service and one for the autoscaler, each with exactly its access."""

from collections.abc import Iterable

from orderflow_model.flow import OrderFlow
from orderflow_model.spec.services import Service
from orderflow_operator.kafka.acls import Acl, autoscaler_acls, autoscaler_user, service_acls, service_user
from orderflow_operator.kubernetes.kinds import KAFKA_USER
from orderflow_operator.kubernetes.labels import Object, flow_labels, new_object, service_labels
from orderflow_operator.resources.kafkatopic import CLUSTER_LABEL


def build(flow: OrderFlow, service: Service) -> Object:
    """Return the identity of a service; Strimzi makes a Secret of the same name with its password."""
    labels = service_labels(flow, service.name, "identity")
    return _build(flow, service_user(flow, service.name), labels, service_acls(flow, service))


def build_autoscaler(flow: OrderFlow, services: Iterable[Service]) -> Object:
    """Return the identity with which the lag of these services is seen."""
    labels = flow_labels(flow, "autoscaler")
    return _build(flow, autoscaler_user(flow), labels, autoscaler_acls(flow, services))


def _build(flow: OrderFlow, name: str, labels: dict[str, str], acl: tuple[Acl, ...]) -> Object:
    user = new_object(KAFKA_USER, name, flow, labels)
    user["metadata"]["labels"][CLUSTER_LABEL] = flow.spec.kafka.cluster
    user["spec"] = {
        "authentication": {"type": "scram-sha-512"},
        "authorization": {"type": "simple", "acls": [_rule(one) for one in acl]},
    }
    return user


def _rule(acl: Acl) -> Object:
    return {
        "type": "allow",
        "resource": {"type": str(acl.type), "name": acl.name, "patternType": "literal"},
        "operations": [str(operation) for operation in acl.operations],
    }
