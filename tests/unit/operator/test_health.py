"""How an object fares is read from what others write into its status, in their own words."""

from typing import Any

import msgspec
import pytest

from orderflow_operator.kubernetes.health import Health, State
from orderflow_operator.kubernetes.kinds import kind_of

SPEC = {"replicas": 2, "partitions": 3}


def judged(kind: str, *conditions: tuple[str, str, str], **status: Any) -> Health:
    """Give the health of an object of generation 1 with conditions of (type, status, reason)."""
    found = [{"type": one, "status": holds, "reason": why, "message": f"{why}!"} for one, holds, why in conditions]
    whole = {"observedGeneration": 1, "conditions": found} | status
    return kind_of({"kind": kind}).health(
        1, msgspec.Raw(msgspec.json.encode(SPEC)), msgspec.Raw(msgspec.json.encode(whole))
    )


BROKEN = [
    ("HorizontalPodAutoscaler", ("ScalingActive", "False", "FailedGetResourceMetric"), "FailedGetResourceMetric"),
    ("HorizontalPodAutoscaler", ("AbleToScale", "False", "FailedGetScale"), "FailedGetScale"),
    ("ScaledObject", ("Ready", "False", "ScaledObjectCheckFailed"), "ScaledObjectCheckFailed"),
    ("PodDisruptionBudget", ("DisruptionAllowed", "False", "SyncFailed"), "SyncFailed"),
    ("Deployment", ("ReplicaFailure", "True", "FailedCreate"), "FailedCreate"),
    ("Deployment", ("Progressing", "False", "ProgressDeadlineExceeded"), "ProgressDeadlineExceeded"),
    ("Job", ("Failed", "True", "BackoffLimitExceeded"), "BackoffLimitExceeded"),
    ("KafkaTopic", ("Ready", "False", "NotSupported"), "NotSupported"),
    ("KafkaTopic", ("ReconciliationPaused", "True", ""), "ReconciliationPaused"),
    ("KafkaTopic", ("Unmanaged", "True", ""), "Unmanaged"),
    ("KafkaUser", ("NotReady", "True", "ExecutionException"), "ExecutionException"),
    ("KafkaUser", ("ReconciliationPaused", "True", ""), "ReconciliationPaused"),
]


@pytest.mark.parametrize(("kind", "condition", "reason"), BROKEN, ids=[f"{kind} {why}" for kind, _, why in BROKEN])
def test_what_cannot_do_its_job_says_why(kind: str, condition: tuple[str, str, str], reason: str) -> None:
    """Whoever is to do the job has said so; it is neither well nor only slow."""
    health = judged(kind, condition)
    assert (health.state, health.reason) == (State.FAILED, reason)
    assert health.message or reason == "ProgressDeadlineExceeded"


@pytest.mark.parametrize(
    ("kind", "condition"),
    [
        ("HorizontalPodAutoscaler", ("ScalingActive", "True", "ValidMetricFound")),
        ("HorizontalPodAutoscaler", ("ScalingActive", "False", "ScalingDisabled")),
        ("HorizontalPodAutoscaler", ("ScalingLimited", "True", "TooFewReplicas")),
        ("ScaledObject", ("Active", "False", "ScalerNotActive")),
        ("PodDisruptionBudget", ("DisruptionAllowed", "False", "InsufficientPods")),
        ("Job", ("Complete", "True", "CompletionsReached")),
        ("KafkaTopic", ("Ready", "True", "")),
    ],
)
def test_what_has_nothing_to_do_is_well(kind: str, condition: tuple[str, str, str]) -> None:
    """Not to act for want of a cause is no trouble."""
    assert judged(kind, condition).state is State.READY


def test_pods_that_are_all_there_are_well_whatever_was_refused_beyond_them() -> None:
    """A rollout's extra pod may be refused by a quota after the rollout has ended."""
    refused = ("ReplicaFailure", "True", "FailedCreate")
    assert judged("Deployment", refused, replicas=2, updatedReplicas=2, availableReplicas=2).state is State.READY


def test_what_strimzi_is_told_to_leave_alone_says_which_annotation_it_is() -> None:
    """The message names what to take off."""
    assert "strimzi.io/pause-reconciliation" in judged("KafkaTopic", ("ReconciliationPaused", "True", "")).message
    assert "strimzi.io/managed" in judged("KafkaTopic", ("Unmanaged", "True", "")).message
