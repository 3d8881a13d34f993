"""What an edit breaks of what the flow promised when it was last accepted; `validation` refuses it by this. Pure.

That stands in the status, so webhook and reconcile hold an edit against the same, whatever was stored meanwhile. A
break that is wanted is said by an annotation, and told of by an Event when it is accepted.
"""

from collections.abc import Iterable, Iterator

from orderflow_model.contracts.changes import Break
from orderflow_model.contracts.promise import WANTED_ANNOTATION, broken, read, wanted_breaks
from orderflow_model.findings import Finding, Severity
from orderflow_model.flow import OrderFlow
from orderflow_operator.kubernetes.labels import Object

BREAKING = "BreakingChange"


def breaks_of(raw: Object, flow: OrderFlow) -> tuple[Break, ...]:
    """Return all that a flow breaks, wanted or not."""
    status = raw.get("status")
    return broken(read(status.get("promises")), flow) if isinstance(status, dict) else ()


def unwanted(flow: OrderFlow, breaks: Iterable[Break]) -> tuple[Finding, ...]:
    """Return what breaks readers and is not said to be wanted, in the words of `orderflow contracts check`."""
    wanted, places = wanted_breaks(flow), {one.name: index for index, one in enumerate(flow.spec.events)}
    return tuple(
        Finding(f"spec.events[{places[one.event]}]" if one.event in places else "spec.events", str(one))
        for one in breaks
        if one.event not in wanted
    )


def advice(breaks: Iterable[Break]) -> str:
    """Return how to say that breaks are wanted."""
    events = ",".join(dict.fromkeys(one.event for one in breaks))
    return f"where that is wanted, annotate the flow with {WANTED_ANNOTATION}: {events}"


def idle_wishes(flow: OrderFlow, breaks: Iterable[Break]) -> Iterator[Finding]:
    """Yield that an annotation names events of which nothing breaks (any more): it would hide what breaks next."""
    if idle := wanted_breaks(flow) - {one.event for one in breaks}:
        words = f"nothing breaks of {', '.join(sorted(idle))}; take the name away, or what breaks next goes unseen"
        yield Finding(f'metadata.annotations["{WANTED_ANNOTATION}"]', words, severity=Severity.WARNING)
