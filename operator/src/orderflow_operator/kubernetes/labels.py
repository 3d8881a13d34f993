"""What all objects of a flow have in common: labels, owner, name. Every builder starts with `new_object`."""

import hashlib
from typing import Any

from orderflow_model.flow import GROUP, OrderFlow
from orderflow_operator.kubernetes.kinds import ORDER_FLOW, Kind

FLOW_LABEL = f"{GROUP}/flow"
SERVICE_LABEL = f"{GROUP}/service"
EVENT_LABEL = f"{GROUP}/event"
NAME_LABEL = "app.kubernetes.io/name"
COMPONENT_LABEL = "app.kubernetes.io/component"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "orderflow"
OWNER_ANNOTATION = f"{GROUP}/owner-uid"
HASH_ANNOTATION = f"{GROUP}/hash"

_LABEL_MAX = 63
_DIGEST = 8

Object = dict[str, Any]


def new_object(kind: Kind, name: str, flow: OrderFlow, labels: dict[str, str]) -> Object:
    """Return an object of the flow with its labels, owned by it: it goes when the flow goes."""
    metadata = {
        "name": name,
        "namespace": flow.metadata.namespace,
        "labels": common_labels(flow) | labels,
        "ownerReferences": [owner_reference(flow)],
    }
    return kind.type_meta | {"metadata": metadata}


def common_labels(flow: OrderFlow) -> dict[str, str]:
    """Return the labels that say whose an object is."""
    return {
        "app.kubernetes.io/part-of": flow.metadata.name,
        MANAGED_BY_LABEL: MANAGED_BY,
        FLOW_LABEL: flow.metadata.name,
    }


def service_labels(flow: OrderFlow, service: str, component: str = "service") -> dict[str, str]:
    """Return the labels of what belongs to one service."""
    return {
        NAME_LABEL: service,
        "app.kubernetes.io/instance": f"{flow.metadata.name}-{service}",
        COMPONENT_LABEL: component,
        SERVICE_LABEL: service,
    }


def flow_labels(flow: OrderFlow, component: str) -> dict[str, str]:
    """Return the labels of what belongs to the flow as a whole."""
    return {
        NAME_LABEL: component,
        "app.kubernetes.io/instance": flow.metadata.name,
        COMPONENT_LABEL: component,
    }


def pod_selector(flow: OrderFlow, service: str) -> dict[str, str]:
    """Return the labels that find the pods of a service, and no others."""
    return {FLOW_LABEL: flow.metadata.name, SERVICE_LABEL: service}


def owner_reference(flow: OrderFlow) -> Object:
    """Return the reference that lets Kubernetes delete an object with its flow."""
    return {
        **ORDER_FLOW.type_meta,
        "name": flow.metadata.name,
        "uid": flow.metadata.uid or "",
        "controller": True,
        "blockOwnerDeletion": True,
    }


def label_value(text: str) -> str:
    """Return the text as a label can hold it: cut, with a digest in place of what was cut."""
    return text if len(text) <= _LABEL_MAX else f"{text[: _LABEL_MAX - _DIGEST - 1]}-{digest(text)}"


def digest(text: str, length: int = _DIGEST) -> str:
    """Return the first hexadecimal digits of the text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]
