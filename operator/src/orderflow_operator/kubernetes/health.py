"""How an object fares, read from its status: the few values that conditions are made of. Pure.

`kinds` says which function reads the status of which kind.
"""

from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec


class State(StrEnum):
    """Whether an object does what it is there for."""

    READY = "Ready"
    PENDING = "Pending"
    FAILED = "Failed"


class Health(NamedTuple):
    """`ready` and `wanted` count pods of a Deployment; of a KafkaTopic they are its replicas and partitions."""

    state: State
    reason: str = ""
    message: str = ""
    ready: int = 0
    wanted: int = 0


NOT_APPLIED, SCALING_OUT, WAITING = "NotApplied", "ScalingOut", "WaitingForStrimzi"
SCALED_TO_ZERO = "ScaledToZero"
PASSING = frozenset(
    {
        "",
        "ContainerCreating",
        "Migrating",
        NOT_APPLIED,
        "NotReady",
        "PodInitializing",
        "RollingOut",
        SCALING_OUT,
        WAITING,
    }
)
"""Reasons that pass by themselves."""

READY = Health(State.READY)


class _Condition(msgspec.Struct):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""


class _Spec(msgspec.Struct):
    replicas: int | None = None
    partitions: int | None = None


class _Status(msgspec.Struct, rename="camel"):
    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    available_replicas: int = 0
    conditions: list[_Condition] = []

    def condition(self, kind: str) -> _Condition:
        return next((one for one in self.conditions if one.type == kind), _Condition())


Reader = Callable[[int, _Spec, _Status], Health]
"""Tells how an object of a kind fares, by its generation, its spec and its status."""


def read(reader: Reader, generation: int, spec: msgspec.Raw, status: msgspec.Raw) -> Health:
    """Return how an object fares."""
    return _shared(*reader(generation, _lenient(spec, _Spec) or _Spec(), _lenient(status, _Status) or _Status()))


@lru_cache(maxsize=4096)
def _shared(*values: Any) -> Health:
    """Return one and the same Health for the same values: thousands of objects fare alike."""
    return Health(*values)


_TAKE_OFF = "remove its annotation {} for the flow to go on"
_LEFT_ALONE = {
    "ReconciliationPaused": f"Strimzi is told to leave it alone: {_TAKE_OFF.format('strimzi.io/pause-reconciliation')}",
    "Unmanaged": f"Strimzi is told that it is somebody else's: {_TAKE_OFF.format('strimzi.io/managed')}",
}
"""Conditions that Strimzi writes in the place of Ready, and what to do."""
_NO_PODS = "a quota, a limit range or a policy of the namespace may say so: ask who keeps it, or ask for less"


def of_deployment(generation: int, spec: _Spec, status: _Status) -> Health:
    """Return how a Deployment fares: well is to have all its pods in the version wanted, and no other."""
    wanted = spec.replicas if spec.replicas is not None else 1
    progress = status.condition("Progressing")
    if status.observed_generation < generation:
        return Health(State.PENDING, "RollingOut", "", 0, wanted)
    ready = min(status.updated_replicas, status.available_replicas)
    if ready >= wanted and status.replicas <= status.updated_replicas:
        return Health(State.READY, "", "", ready, wanted)
    refused = status.condition("ReplicaFailure")
    if refused.status == "True":
        return Health(State.FAILED, refused.reason or "FailedCreate", f"{refused.message}; {_NO_PODS}", ready, wanted)
    if progress.reason == "DeploymentPaused":
        return Health(State.FAILED, progress.reason, "kubectl rollout resume lets it go on", ready, wanted)
    if progress.reason == "ProgressDeadlineExceeded":
        return Health(State.FAILED, "ProgressDeadlineExceeded", "", ready, wanted)
    return Health(State.PENDING, "RollingOut", "", ready, wanted)


def of_strimzi(generation: int, spec: _Spec, status: _Status) -> Health:
    """Return how a KafkaTopic or a KafkaUser fares, in Strimzi's words."""
    ready, sizes = status.condition("Ready"), (spec.replicas or 0, spec.partitions or 0)
    for reason, words in _LEFT_ALONE.items():
        if status.condition(reason).status == "True":
            return Health(State.FAILED, reason, words, *sizes)
    broken = status.condition("NotReady")  # how its user operator says it
    if broken.status == "True" and status.observed_generation >= generation:
        return Health(State.FAILED, broken.reason or "NotReady", broken.message, *sizes)
    if status.observed_generation < generation or not ready.status:
        return Health(State.PENDING, WAITING, "Strimzi has not taken it up yet", *sizes)
    if ready.status == "True":
        return Health(State.READY, "", "", *sizes)
    return Health(State.FAILED, ready.reason or "NotReady", ready.message, *sizes)


def of_job(generation: int, spec: _Spec, status: _Status) -> Health:
    """Return how a Job fares: well is to have done its work."""
    failed = status.condition("Failed")
    if failed.status == "True":
        return Health(State.FAILED, failed.reason or "Failed", failed.message)
    return Health(State.READY if status.condition("Complete").status == "True" else State.PENDING)


def of_autoscaler(generation: int, spec: _Spec, status: _Status) -> Health:
    """Return how a HorizontalPodAutoscaler fares: one that has not looked yet says nothing."""
    for kind in ("AbleToScale", "ScalingActive"):
        if (said := status.condition(kind)).status == "False" and said.reason != "ScalingDisabled":
            return Health(State.FAILED, said.reason or kind, said.message)
    return READY


def of_scaled_object(generation: int, spec: _Spec, status: _Status) -> Health:
    """Return how a ScaledObject fares: not to be active is to have nothing to do, not to be ready is not to scale."""
    ready, paused = status.condition("Ready"), status.condition("Paused")
    if paused.status == "True":
        return Health(State.FAILED, paused.reason or "Paused", paused.message or "somebody paused it")
    if ready.status == "False":
        return Health(State.FAILED, ready.reason or "NotReady", ready.message)
    return READY


def of_budget(generation: int, spec: _Spec, status: _Status) -> Health:
    """Return how a PodDisruptionBudget fares."""
    allowed = status.condition("DisruptionAllowed")
    if allowed.reason == "SyncFailed":  # else it only says that no pod can be spared now
        return Health(State.FAILED, allowed.reason, allowed.message)
    return READY


def _lenient(data: msgspec.Raw, shape: type[Any]) -> Any:
    """Read what fits; a status that somebody filled with nonsense is one that says nothing."""
    try:
        return msgspec.json.decode(data, type=shape | None)
    except msgspec.DecodeError:
        return None
