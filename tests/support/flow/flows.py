"""Flows as plain data, as people apply them: the reference flow, and a small one of two services."""

import copy
from typing import Any

import yaml

from support.flow.orders import SHOP

Json = dict[str, Any]


def shop(name: str = "shop") -> Json:
    """Give the reference flow under a name."""
    flow: Json = yaml.safe_load(SHOP.read_text())
    flow["metadata"]["name"] = name
    return flow


def pair(name: str = "pair") -> Json:
    """Give a flow of two services: an asker, and an answerer that scales by lag."""
    return {
        "apiVersion": "orderflow.dev/v1alpha1",
        "kind": "OrderFlow",
        "metadata": {"name": name},
        "spec": {
            "kafka": {"provisioner": "Strimzi", "cluster": "events"},
            "database": {"secretKeyRef": {"name": f"{name}-db", "key": "uri"}},
            "events": [{"name": "ASKED"}, {"name": "ANSWERED"}],
            "services": [
                service("asker", publishes=["ASKED"], subscribes=["ANSWERED"]),
                service("answerer", publishes=["ANSWERED"], subscribes=["ASKED"], scale={"min": 1, "max": 3}),
            ],
        },
    }


def service(name: str, **more: Any) -> Json:
    """Give the entry of a service."""
    return {"name": name, "image": f"example/{name}:1", "command": [name], **more}


def changed(flow: Json, place: str, value: Any) -> Json:
    """Give a copy of a flow with the value at a place such as `spec.services.0.image`; None takes it away."""
    made = copy.deepcopy(flow)
    *steps, last = (int(step) if step.isdigit() else step for step in place.split("."))
    node: Any = made
    for step in steps:
        node = node[step] if isinstance(step, int) else node.setdefault(step, {})
    if value is None:
        del node[last]
    elif isinstance(node, list) and last == len(node):
        node.append(value)
    else:
        node[last] = value
    return made


def on_topics(flow: Json, *topics: str) -> Json:
    """Return a copy of a flow with its events, from the first on, on topics of these names."""
    for index, topic in enumerate(topics):
        flow = changed(flow, f"spec.events.{index}.topic", {"name": topic})
    return flow
