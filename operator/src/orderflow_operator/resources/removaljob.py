"""The Job that drops what a flow no longer has in its database, under `deletionPolicy: Delete`: see `removal.py`.

The flow does not own it, for it works while the flow goes, however that was asked for. It runs in the image of a
service, as migrations do, and holds the admin's Secret. All it is told is in its name: something else is another Job.
"""

import json
from collections.abc import Sequence

from orderflow_model import environment
from orderflow_model.flow import OrderFlow
from orderflow_operator.kubernetes.kinds import JOB
from orderflow_operator.kubernetes.labels import (
    OWNER_ANNOTATION,
    Object,
    common_labels,
    digest,
    flow_labels,
    new_object,
    owner_reference,
)
from orderflow_operator.resources import pod_template
from orderflow_operator.resources.pod import SCRATCH, from_secret, hardened, plain, pod_spec, resources

COMPONENT = "removal"
COMMAND = ["python", "-m", "orderflow_runtime.removal"]
SECONDS = 300

_RETRIES = 3
_KEPT_SECONDS = 3600


def prefix(flow: str) -> str:
    """Return what the names of all such Jobs of a flow begin with."""
    return f"{flow}-remove-"


def build(flow: OrderFlow, keep: Sequence[str]) -> Object:
    """Return the Job that drops all that is marked as the flow's but what the services to keep have."""
    template = {"metadata": {"labels": common_labels(flow) | flow_labels(flow, COMPONENT)}, "spec": _pod(flow, keep)}
    template = pod_template.of_job(template, flow.pod(flow.services[0]))
    name = f"{prefix(flow.metadata.name)}{digest(json.dumps(template, sort_keys=True))}"
    built = new_object(JOB, name, flow, flow_labels(flow, COMPONENT))
    del built["metadata"]["ownerReferences"]
    built["metadata"]["annotations"] = {OWNER_ANNOTATION: flow.metadata.uid or ""}
    built["spec"] = {
        "backoffLimit": _RETRIES,
        "activeDeadlineSeconds": SECONDS,
        "ttlSecondsAfterFinished": _KEPT_SECONDS,
        "template": template,
    }
    return built


def owned(job: Object, flow: OrderFlow) -> Object:
    """Return the Job as one that goes with the flow: once it is done."""
    return job | {"metadata": job["metadata"] | {"ownerReferences": [owner_reference(flow)]}}


def _pod(flow: OrderFlow, keep: Sequence[str]) -> Object:
    service, admin = flow.services[0], flow.spec.database.secret_key_ref
    given = {"owner": f"{flow.metadata.namespace}/{flow.metadata.name}", "keep": list(keep)}
    container = {
        "name": COMPONENT,
        "image": service.image,
        "command": COMMAND,
        "env": [
            from_secret(environment.DATABASE_URL, admin.name, admin.key),
            plain(environment.REMOVAL, json.dumps(given)),
            SCRATCH,
        ],
        "resources": resources(service.resources),
    }
    # it may be called off, and has then to end at once
    return pod_spec(hardened(container), []) | {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0}
