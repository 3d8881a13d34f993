"""Objects without what differs from one run to the next, so that two runs, or a run and a file, can be compared."""

import copy
import json
import re
from typing import Any

Json = dict[str, Any]
Objects = dict[tuple[str, str], Json]

_RUN = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "finalizers", "namespace")
_CLUSTER_IP = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy")
_COUNTED = ("deployment.kubernetes.io/revision", "orderflow.dev/hash", "orderflow.dev/owner-uid")
_DASHBOARD_UID = r"orderflow-[0-9a-f]{12}(?![0-9a-f])"  # derived from namespace and name
_VERSION = r"-[0-9a-f]{8}$"
_JOB_LABELS = ("batch.kubernetes.io/controller-uid", "controller-uid", "batch.kubernetes.io/job-name", "job-name")


def snapshot(objects: Objects, namespace: str) -> dict[str, Json]:
    """Give each object by `Kind name`, as it would be in another namespace and at another time."""
    items = [_clean(kind, item) for (kind, _), item in sorted(objects.items())]
    cleaned = {f"{item['kind']} {item['metadata']['name']}": item for item in items}
    text = re.sub(_DASHBOARD_UID, "orderflow-UID", json.dumps(cleaned).replace(namespace, "NAMESPACE"))
    made: dict[str, Json] = json.loads(text)
    return made


def _clean(kind: str, item: Json) -> Json:
    made = {key: value for key, value in copy.deepcopy(item).items() if key not in ("status", "secrets")}
    metadata = made["metadata"] = {key: value for key, value in made["metadata"].items() if key not in _RUN}
    annotations = {key: value for key, value in metadata.pop("annotations", {}).items() if key not in _COUNTED}
    metadata |= {"annotations": annotations} if annotations else {}
    for owner in metadata.get("ownerReferences", ()):
        owner["uid"] = "UID"
    if kind == "Secret":
        made["data"] = dict.fromkeys(sorted(made.get("data", {})), "SECRET")
    if kind == "Service":
        made["spec"] = {key: value for key, value in made["spec"].items() if key not in _CLUSTER_IP}
    if kind == "Job":
        _clean_job(made)
    if kind == "Deployment":
        made["spec"]["template"]["metadata"]["annotations"]["orderflow.dev/credentials-hash"] = "MARK"
    return made


def _clean_job(job: Json) -> None:
    """Call a migration after its service: its name ends in a digest of all that is run, namespace included."""
    metadata = job["metadata"]
    metadata["name"] = re.sub(_VERSION, f"-{metadata['labels']['orderflow.dev/service']}", metadata["name"])
    job["spec"].pop("selector", None)
    for labels in (job["metadata"].get("labels", {}), job["spec"]["template"]["metadata"].get("labels", {})):
        for name in _JOB_LABELS:
            labels.pop(name, None)
