"""The Job that brings a service's schema up to date before its new pods start: one per service and version.

It alone holds the admin secret. Each service has its own, so that an image that is not there, or SQL that fails, holds
up no other. The name ends in a digest of all that is run, credentials among it: another version, or another password,
is another Job.
"""

import json

from orderflow_model import environment
from orderflow_model.flow import OrderFlow
from orderflow_model.spec.console import CONSOLE
from orderflow_model.spec.services import Service
from orderflow_operator.kubernetes.kinds import JOB
from orderflow_operator.kubernetes.labels import (
    SERVICE_LABEL,
    Object,
    common_labels,
    digest,
    new_object,
    service_labels,
)
from orderflow_operator.resources import pod_template, secret
from orderflow_operator.resources.build_context import BuildContext, Database
from orderflow_operator.resources.pod import SCRATCH, from_secret, hardened, plain, pod_spec, resources

COMPONENT = "migration"
COMMAND = ["python", "-m", "orderflow_runtime.migrate"]
TASK_ANNOTATION = "orderflow.dev/migration"

_FOLDER = "/etc/orderflow"
_TASK_FILE = "migration.json"
_RETRIES = 6


def prefix(flow: str) -> str:
    """Return what the names of all such Jobs of a flow begin with."""
    return f"{flow}-migrate-"


def build(flow: OrderFlow, service: Service, context: BuildContext) -> Object:
    """Return the Job. The credentials it comes in by and those that it sets, and the place, are part of its name."""
    database, proof = context.database or Database(), context.proofs.migrations.get(service.name, "")
    template = {"metadata": _pod_metadata(flow, service, context), "spec": _pod(flow, service)}
    template = pod_template.of_job(template, flow.pod(service))
    version = digest(json.dumps([template, database.fingerprint, proof], sort_keys=True))
    name = f"{prefix(flow.metadata.name)}{version}"
    built = new_object(JOB, name, flow, service_labels(flow, service.name, COMPONENT))
    built["spec"] = {"backoffLimit": _RETRIES, "template": template}
    return built


def _pod_metadata(flow: OrderFlow, service: Service, context: BuildContext) -> Object:
    """Return the pod's labels, by which no Service finds it, and what it is to do, which it reads as a file."""
    labels = common_labels(flow) | service_labels(flow, service.name, COMPONENT)
    del labels[SERVICE_LABEL]
    return {"labels": labels, "annotations": {TASK_ANNOTATION: json.dumps(_task(flow, service, context))}}


def _task(flow: OrderFlow, service: Service, context: BuildContext) -> Object:
    """Return what is to be done; `owner` tells the flow from another of its name in another namespace.

    `moved` are services whose data was or is elsewhere, and has to be there before they follow.
    """
    declared = {service.name: service.migrations} if service.migrations else {}
    owner = f"{flow.metadata.namespace}/{flow.metadata.name}"
    services = {service.name: list(service.command)}
    task = {"flow": flow.metadata.name, "owner": owner, "services": services, "migrations": declared}
    if flow.spec.privacy is not None and service.name in flow.spec.privacy.readers:
        task["readers"] = [service.name]
    if flow.spec.console is not None:
        task["console"] = CONSOLE
    return task | ({"moved": [service.name]} if context.is_moving(service.name) else {})


def _pod(flow: OrderFlow, service: Service) -> Object:
    password = [{"key": secret.PASSWORD_KEY, "path": service.name}]
    task = {
        "path": _TASK_FILE,
        "fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.annotations['{TASK_ANNOTATION}']"},
    }
    sources = [
        {"secret": {"name": secret.database_name(flow, service.name), "items": password}},
        {"downwardAPI": {"items": [task]}},
    ]
    spec = pod_spec(_container(flow, service), [{"name": "task", "projected": {"sources": sources}}])
    spec["restartPolicy"] = "Never"
    return spec


def _container(flow: OrderFlow, service: Service) -> Object:
    admin = flow.spec.database.secret_key_ref
    return hardened(
        {
            "name": "migrate",
            "image": service.image,
            "command": COMMAND,
            "env": [
                from_secret(environment.DATABASE_URL, admin.name, admin.key),
                plain(environment.MIGRATION, f"{_FOLDER}/{_TASK_FILE}"),
                plain(environment.PASSWORDS, _FOLDER),
                SCRATCH,
            ],
            "resources": resources(service.resources),
            "volumeMounts": [{"name": "task", "mountPath": _FOLDER, "readOnly": True}],
        }
    )
