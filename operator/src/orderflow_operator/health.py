"""How an object fares, read from its status: the few values per kind that conditions are made of. Pure."""

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


PASSING = frozenset(
    {
        "",
        "ContainerCreating",
        "Migrating",
        "NotApplied",
        "NotReady",
        "PodInitializing",
        "RollingOut",
        "WaitingForStrimzi",
    }
)
"""Reasons that pass by themselves."""

_HEALTHY = Health(State.READY)


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


def health_of(kind: str, generation: int, spec: msgspec.Raw, status: msgspec.Raw) -> Health:
    """Return how an object of a kind fares; kinds without a status are always well."""
    if kind not in _JUDGES:
        return _HEALTHY
    wanted = _lenient(spec, _Spec) or _Spec()
    now = _lenient(status, _Status) or _Status()
    return _shared(*_JUDGES[kind](generation, wanted, now))


@lru_cache(maxsize=4096)
def _shared(*values: Any) -> Health:
    """Return one and the same Health for the same values: thousands of objects fare alike."""
    return Health(*values)


def _deployment(generation: int, spec: _Spec, status: _Status) -> Health:
    wanted = spec.replicas if spec.replicas is not None else 1
    progress = status.condition("Progressing")
    if status.observed_generation < generation:
        return Health(State.PENDING, "RollingOut", "", 0, wanted)
    ready = min(status.updated_replicas, status.available_replicas)
    if ready >= wanted and status.replicas <= status.updated_replicas:
        return Health(State.READY, "", "", ready, wanted)
    if progress.reason == "ProgressDeadlineExceeded":
        return Health(State.FAILED, "ProgressDeadlineExceeded", "", ready, wanted)
    return Health(State.PENDING, "RollingOut", "", ready, wanted)


def _strimzi(generation: int, spec: _Spec, status: _Status) -> Health:
    ready, sizes = status.condition("Ready"), (spec.replicas or 0, spec.partitions or 0)
    if status.observed_generation < generation or not ready.status:
        return Health(State.PENDING, "WaitingForStrimzi", "Strimzi has not taken it up yet", *sizes)
    if ready.status == "True":
        return Health(State.READY, "", "", *sizes)
    return Health(State.FAILED, ready.reason or "NotReady", ready.message, *sizes)


def _job(generation: int, spec: _Spec, status: _Status) -> Health:
    failed = status.condition("Failed")
    if failed.status == "True":
        return Health(State.FAILED, failed.reason or "Failed", failed.message)
    return Health(State.READY if status.condition("Complete").status == "True" else State.PENDING)


_JUDGES = {"Deployment": _deployment, "KafkaTopic": _strimzi, "KafkaUser": _strimzi, "Job": _job}


def _lenient(data: msgspec.Raw, shape: type[Any]) -> Any:
    """Read what fits; a status that somebody filled with nonsense is one that says nothing."""
    try:
        return msgspec.json.decode(data, type=shape | None)
    except msgspec.DecodeError:
        return None
