"""ConfigMaps: what each service is told of itself, what the migration job migrates, as whom the autoscaler looks."""

import json

from orderflow_model.config import service_config
from orderflow_model.flow import OrderFlow
from orderflow_model.names import object_name
from orderflow_operator.access import autoscaler_user
from orderflow_operator.resources.metadata import Object, flow_labels, new_object, service_labels

SERVICE_KEY = "service.json"
USER_NAME_KEY = "username"


def name(flow: OrderFlow, service: str) -> str:
    """Return the name of a service's ConfigMap."""
    return object_name(flow.metadata.name, service)


def migration_name(flow: OrderFlow) -> str:
    """Return the name of the migration job's ConfigMap."""
    return f"{flow.metadata.name}.migrate"


def autoscaler_name(flow: OrderFlow) -> str:
    """Return the name of the ConfigMap that holds the autoscaler's user name."""
    return f"{flow.metadata.name}.autoscaler"


def build(flow: OrderFlow, service: str) -> Object:
    """Return the ConfigMap whose file a service reads at its start."""
    built = new_object("v1", "ConfigMap", name(flow, service), flow, service_labels(flow, service))
    built["data"] = {SERVICE_KEY: service_config(flow, service).model_dump_json()}
    return built


def build_migration(flow: OrderFlow, parts: dict[str, dict[str, list[str]]]) -> Object:
    """Return the ConfigMap of the migration job: per container, the commands of the services it migrates."""
    built = new_object("v1", "ConfigMap", migration_name(flow), flow, flow_labels(flow, "migration"))
    built["data"] = {
        f"{container}.json": json.dumps(_migration(flow, services)) for container, services in parts.items()
    }
    return built


def _migration(flow: OrderFlow, services: dict[str, list[str]]) -> Object:
    """Return what one container is to do; `owner` tells the flow from another of its name in another namespace."""
    declared = {one.name: one.migrations for one in flow.spec.services if one.name in services and one.migrations}
    owner = f"{flow.metadata.namespace}/{flow.metadata.name}"
    return {"flow": flow.metadata.name, "owner": owner, "services": services, "migrations": declared}


def build_autoscaler(flow: OrderFlow) -> Object:
    """Return the ConfigMap with the autoscaler's user name: KEDA takes it from a reference alone."""
    built = new_object("v1", "ConfigMap", autoscaler_name(flow), flow, flow_labels(flow, "autoscaler"))
    built["data"] = {USER_NAME_KEY: autoscaler_user(flow)}
    return built
