"""The status that a kubelet writes of a pod, for each way it can fare. Pure; `support.cluster.kubelet` writes it."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from orderflow_model.timestamps import write_time

Json = dict[str, Any]


class Fate(StrEnum):
    """How a pod fares, in the words of Kubernetes."""

    READY = "Ready"
    STARTING = "ContainerCreating"
    CONFIG_MISSING = "CreateContainerConfigError"
    IMAGE_PULL = "ImagePullBackOff"
    CRASH_LOOP = "CrashLoopBackOff"
    UNSCHEDULABLE = "Unschedulable"
    SUCCEEDED = "Completed"
    FAILED = "Error"


_PHASES = {Fate.READY: "Running", Fate.CRASH_LOOP: "Running", Fate.SUCCEEDED: "Succeeded", Fate.FAILED: "Failed"}


def status(pod: Json, fate: Fate, address: str = "10.0.0.1", said: str = "", restarts: int = 0) -> Json:
    """Give the status of a pod; `said` is its last line where it crashed, else the kubelet's message."""
    if fate is Fate.UNSCHEDULABLE:
        why = said or "0/3 nodes are available: 3 Insufficient cpu."
        scheduled = _condition("PodScheduled", False, "Unschedulable", why)
        return {"phase": "Pending", "conditions": [scheduled]}
    ready = fate is Fate.READY
    kinds = {"PodScheduled": True, "Initialized": True, "ContainersReady": ready, "Ready": ready}
    containers = [_container(spec, fate, said, restarts) for spec in pod["spec"]["containers"]]
    return {
        "phase": _PHASES.get(fate, "Pending"),
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": pod["metadata"]["creationTimestamp"],
        "conditions": [_condition(kind, holds) for kind, holds in kinds.items()],
        "containerStatuses": containers,
    }


def _container(spec: Json, fate: Fate, said: str, restarts: int) -> Json:
    ready = fate is Fate.READY
    own = {"name": spec["name"], "image": spec["image"], "imageID": "", "ready": ready, "started": ready}
    ended = {"exitCode": int(fate is not Fate.SUCCEEDED), "reason": fate.value, "message": said, "finishedAt": _now()}
    if ready:
        state: Json = {"running": {"startedAt": _now()}}
    elif fate in (Fate.SUCCEEDED, Fate.FAILED):
        state = {"terminated": ended}
    else:
        state = {"waiting": {"reason": fate.value, "message": _waiting(spec, fate, said)}}
    last = {"terminated": ended | {"reason": "Error"}} if fate is Fate.CRASH_LOOP else {}
    return own | {"state": state, "lastState": last, "restartCount": restarts or int(fate is Fate.CRASH_LOOP)}


def _waiting(spec: Json, fate: Fate, said: str) -> str:
    if fate is Fate.IMAGE_PULL:
        return f'Back-off pulling image "{spec["image"]}"'
    if fate is Fate.CRASH_LOOP:
        return f"back-off 10s restarting failed container={spec['name']}"
    return said


def _condition(kind: str, holds: bool, reason: str = "", message: str = "") -> Json:
    told = {"reason": reason, "message": message} if reason else {}
    return {"type": kind, "status": str(holds), "lastTransitionTime": _now()} | told


def _now() -> str:
    return write_time(datetime.now(UTC))
