"""Kubernetes Events: what a person should see of a flow, in `kubectl describe`. Pure; the reconcile posts them."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from orderflow_model.conditions import READY, VALID
from orderflow_model.contracts.changes import Break
from orderflow_model.contracts.promise import WANTED_ANNOTATION
from orderflow_model.status import DEGRADED, Condition, FlowStatus, Truth
from orderflow_model.timestamps import write_time
from orderflow_operator.kubernetes.client import USER_AGENT
from orderflow_operator.kubernetes.health import PASSING
from orderflow_operator.kubernetes.kinds import EVENT, ORDER_FLOW
from orderflow_operator.kubernetes.labels import Object
from orderflow_operator.reconciler import pod_problems
from orderflow_operator.reconciler.status import changed

_WORDS_MAX = 1024


def condition_events(raw: Object, before: FlowStatus, after: FlowStatus, now: datetime) -> Iterator[Object]:
    """Yield an Event for each condition that turned in a way that a person should see."""
    valid = after.condition(VALID)
    refused = valid is not None and valid.status is Truth.FALSE
    for condition in changed(before, after, (VALID if refused else READY, DEGRADED)):
        if kind := _kind(condition):
            yield event(raw, kind, condition.reason, condition.message, now)


def break_events(raw: Object, breaks: Iterable[Break], now: datetime) -> Iterator[Object]:
    """Yield an Event for each event of which something breaks that the resource says is wanted: who reads may ask."""
    told: dict[str, list[str]] = {}
    for one in breaks:
        told.setdefault(one.event, []).append(str(one))
    for words in told.values():
        yield event(raw, "Warning", "ContractBroken", f"as {WANTED_ANNOTATION} says: {'; '.join(words)}", now)


def _kind(condition: Condition) -> str | None:
    """Return the type of Event, or None: what only takes its time while a flow is rolled out is no news.

    Pods come and go with a reason each; of those Degraded tells.
    """
    match condition.type, condition.status:
        case "Ready", Truth.TRUE:
            return "Normal"
        case "Valid", Truth.FALSE:
            return "Warning"
        case "Degraded", Truth.TRUE:
            return "Warning"
        case "Ready", Truth.FALSE if condition.reason not in PASSING and condition.reason not in pod_problems.REASONS:
            return "Warning"
    return None


def event(raw: Object, kind: str, reason: str, message: str, now: datetime) -> Object:
    """Return an Event of a flow; `kind` is Normal or Warning."""
    metadata = raw["metadata"]
    time = write_time(now)
    return {
        **EVENT.type_meta,
        "metadata": {"generateName": f"{metadata['name']}.", "namespace": metadata["namespace"]},
        "involvedObject": {
            **ORDER_FLOW.type_meta,
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "type": kind,
        "reason": reason,
        "message": message[:_WORDS_MAX],
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
        "source": {"component": USER_AGENT},
    }
