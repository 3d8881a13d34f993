"""What is wrong with pods, said by the worst of them."""

from typing import Any

from orderflow_operator.reconciler.pod_problems import find_problems, migration_of


def pod(name: str, service: str = "a", **status: Any) -> dict[str, Any]:
    """A pod of a service."""
    return {"metadata": {"name": name, "labels": {"orderflow.dev/service": service}}, "status": status}


def container(**state: Any) -> dict[str, Any]:
    """The status of a container."""
    return {"ready": False, "state": state}


CRASHING = pod(
    "p1",
    containerStatuses=[
        container(waiting={"reason": "CrashLoopBackOff", "message": "back-off 5m0s"})
        | {"lastState": {"terminated": {"exitCode": 1, "message": "Traceback\n  ...\nValueError: no provider\n"}}}
    ],
)
PULLING = pod("p2", containerStatuses=[container(waiting={"reason": "ImagePullBackOff", "message": "not found"})])
PENDING = pod(
    "p3", conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3"}]
)
STARTING = pod("p4", containerStatuses=[container(waiting={"reason": "ContainerCreating"})])
WELL = pod("p5", containerStatuses=[{"ready": True, "state": {"running": {}}}])


def test_a_crash_is_told_with_its_last_line() -> None:
    """The end of the log says more than the back-off."""
    assert find_problems([CRASHING]) == {"a": ("CrashLoopBackOff", "pod p1: ValueError: no provider")}


def test_the_worst_pod_speaks() -> None:
    """What cannot pull its image is worse than what starts."""
    assert find_problems([STARTING, PULLING, WELL])["a"].reason == "ImagePullBackOff"
    assert find_problems([STARTING, PENDING])["a"] == ("Unschedulable", "pod p3: 0/3")


def test_pods_that_are_well_or_going_say_nothing() -> None:
    """An old pod on its way out is no trouble."""
    leaving = pod("p6", containerStatuses=[container(terminated={"exitCode": 137})])
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert find_problems([WELL, leaving]) == {}


def test_the_migration_speaks_for_itself() -> None:
    """A failed migration container is told with its words."""
    failed = pod("m", containerStatuses=[container(terminated={"exitCode": 1, "message": "migration failed: x"})])
    failed["metadata"]["labels"] = {"app.kubernetes.io/component": "migration", "app.kubernetes.io/name": "a"}
    assert find_problems([failed]) == {migration_of("a"): ("Error", "pod m: migration failed: x")}
