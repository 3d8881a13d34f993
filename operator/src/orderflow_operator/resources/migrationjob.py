"""The Job that brings the database up to date before new pods start: one per flow and version.

It alone holds the admin secret. Each image brings the migrations of its own services, so each distinct image is one
container. The name ends in a digest of all that is run: another version is another Job.
"""

import json

from orderflow_model import environment
from orderflow_model.flow import OrderFlow
from orderflow_model.services import Service
from orderflow_operator.resources import configmap, secret
from orderflow_operator.resources.metadata import Object, digest, flow_labels, new_object
from orderflow_operator.resources.metadata import common_labels as _common
from orderflow_operator.resources.pod import SCRATCH, from_secret, hardened, plain, pod_spec, resources
from orderflow_operator.surroundings import Database

KIND = "Job"
COMMAND = ["python", "-m", "orderflow_runtime.migrate"]

_TASKS = "/etc/orderflow"
_PASSWORDS = "/etc/orderflow-passwords"
_RETRIES = 6


def parts(flow: OrderFlow) -> dict[str, dict[str, list[str]]]:
    """Return, by container, the services it migrates and the command of each."""
    found: dict[str, dict[str, list[str]]] = {}
    for services in _by_image(flow).values():
        found[_container_name(services)] = {service.name: list(service.command) for service in services}
    return found


def build(flow: OrderFlow, database: Database) -> Object:
    """Return the Job."""
    template = {"metadata": {"labels": _common(flow) | flow_labels(flow, "migration")}, "spec": _pod(flow)}
    said = {service.name: service.migrations for service in flow.spec.services if service.migrations}
    all_of_it = [template, parts(flow), database.fingerprint, *([said] if said else [])]
    version = digest(json.dumps(all_of_it, sort_keys=True))
    name = f"{flow.metadata.name}-migrate-{version}"
    built = new_object("batch/v1", KIND, name, flow, flow_labels(flow, "migration"))
    built["spec"] = {"backoffLimit": _RETRIES, "template": template}
    return built


def _pod(flow: OrderFlow) -> Object:
    sources = [_password(flow, service.name) for service in flow.spec.services]
    tasks = {"name": "tasks", "configMap": {"name": configmap.migration_name(flow)}}
    spec = pod_spec({}, [tasks, {"name": "passwords", "projected": {"sources": sources}}])
    spec["containers"] = [_container(flow, image, services) for image, services in _by_image(flow).items()]
    spec["restartPolicy"] = "Never"
    return spec


def _container(flow: OrderFlow, image: str, services: list[Service]) -> Object:
    admin = flow.spec.database.secret_key_ref
    name = _container_name(services)
    return hardened(
        {
            "name": name,
            "image": image,
            "command": COMMAND,
            "env": [
                from_secret(environment.DATABASE_URL, admin.name, admin.key),
                plain(environment.MIGRATION, f"{_TASKS}/{name}.json"),
                plain(environment.PASSWORDS, _PASSWORDS),
                SCRATCH,
            ],
            "resources": resources(services[0]),
            "volumeMounts": [
                {"name": "tasks", "mountPath": _TASKS, "readOnly": True},
                {"name": "passwords", "mountPath": _PASSWORDS, "readOnly": True},
            ],
        }
    )


def _password(flow: OrderFlow, service: str) -> Object:
    items = [{"key": secret.PASSWORD_KEY, "path": service}]
    return {"secret": {"name": secret.database_name(flow, service), "items": items}}


def _by_image(flow: OrderFlow) -> dict[str, list[Service]]:
    images: dict[str, list[Service]] = {}
    for service in flow.spec.services:
        images.setdefault(service.image, []).append(service)
    return images


def _container_name(services: list[Service]) -> str:
    return f"migrate-{services[0].name}"
