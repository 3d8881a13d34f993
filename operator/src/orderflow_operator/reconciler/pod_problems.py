"""What is wrong with a service's pods: the worst of them, in one word and with its last line. Pure."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from orderflow_operator.kubernetes.labels import COMPONENT_LABEL, NAME_LABEL, SERVICE_LABEL, Object
from orderflow_operator.resources import migrationjob

REASONS = (  # the worse, the earlier; what only takes time stands last
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "CrashLoopBackOff",
    "OOMKilled",
    "Error",
    "Unschedulable",
    "NotReady",
    "ContainerCreating",
)
_LINE_MAX = 300
_ASK_IT = "it runs, and says at /readyz and in its log why it is not ready"


class PodProblem(NamedTuple):
    """A reason in one word, and the pod's own words."""

    reason: str
    message: str


def find_problems(pods: Iterable[Object]) -> dict[str, PodProblem]:
    """Return, by service, what is wrong with its worst pod; under `migration_of` it, with its migration."""
    worst: dict[str, PodProblem] = {}
    for pod in pods:
        labels = pod["metadata"].get("labels") or {}
        migrated = migrating(pod)
        service = labels.get(SERVICE_LABEL) if migrated is None else migration_of(migrated)
        if service is not None and not pod["metadata"].get("deletionTimestamp"):
            found = min((*_of(pod), *filter(None, [worst.get(service)])), key=_rank, default=None)
            if found:
                worst[service] = found
    return worst


def migration_of(service: str) -> str:
    """Return what stands for the migration job of a service where services are told of."""
    return f"{service}/migration"


def migrating(pod: Object) -> str | None:
    """Return the service whose migration a pod carries out, if it does."""
    labels = pod["metadata"].get("labels") or {}
    return labels.get(NAME_LABEL, "") if labels.get(COMPONENT_LABEL) == migrationjob.COMPONENT else None


def problem_of(pods: Iterable[Object], component: str) -> PodProblem | None:
    """Return what is wrong with the worst pod of a component, None where nothing is."""
    of_it = (pod for pod in pods if (pod["metadata"].get("labels") or {}).get(COMPONENT_LABEL) == component)
    return min((problem for pod in of_it for problem in _of(pod)), key=_rank, default=None)


def _rank(problem: PodProblem) -> int:
    return REASONS.index(problem.reason) if problem.reason in REASONS else len(REASONS) // 2


def _of(pod: Object) -> Iterator[PodProblem]:
    status, name = pod.get("status") or {}, pod["metadata"]["name"]
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            yield PodProblem(condition.get("reason") or "Unschedulable", f"pod {name}: {condition.get('message', '')}")
    for container in status.get("containerStatuses") or ():
        yield from _of_container(name, container)


def _of_container(pod: str, container: Object) -> Iterator[PodProblem]:
    state = container.get("state") or {}
    waiting, ended = state.get("waiting"), state.get("terminated")
    last = ended or (container.get("lastState") or {}).get("terminated") or {}
    words = _last_line(last.get("message") or "")
    if waiting:
        said = words or waiting.get("message") or ""
        yield PodProblem(waiting.get("reason") or "Waiting", _told(pod, said))
    elif ended and ended.get("exitCode"):
        yield PodProblem(ended.get("reason") or "Error", _told(pod, words or f"exit code {ended['exitCode']}"))
    elif not ended and not container.get("ready"):
        yield PodProblem("NotReady", _told(pod, words or _ASK_IT))


def _told(pod: str, words: str) -> str:
    return f"pod {pod}: {words}" if words else f"pod {pod}"


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip()[:_LINE_MAX] if lines else ""
