"""Whether a flow can be: one judgement for the webhook, which refuses by it, and for the reconcile, whose Valid it is.

What the API server's own rules refuse is refused here too, so that the operator is as strict without them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from orderflow_model.findings import Finding, InvalidResource, Severity
from orderflow_model.flow import OrderFlow
from orderflow_model.lint import lint
from orderflow_model.loading import parse_flow
from orderflow_model.topics import event_topic
from orderflow_operator.claims import Claims
from orderflow_operator.resources import kafkatopic
from orderflow_operator.resources.metadata import Object
from orderflow_operator.store import FlowKey, Objects, entry

INVALID = "Invalid"

_MOST_TOLD = 5


@dataclass(frozen=True)
class Verdict:
    """`flow` is None when it cannot even be read. `reason` and `findings` say why it is refused; empty if it is not."""

    flow: OrderFlow | None
    reason: str = ""
    findings: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether the flow can be."""
        return not self.findings

    @property
    def message(self) -> str:
        """The first findings, as a person reads them."""
        told = "; ".join(map(str, self.findings[:_MOST_TOLD]))
        more = len(self.findings) - _MOST_TOLD
        return f"{told}; and {more} more" if more > 0 else told


def judge(raw: Object, claims: Claims, objects: Objects) -> Verdict:
    """Judge a flow as the API server has it, by itself, by what is there of it and by what other flows have."""
    try:
        flow = parse_flow(_known(raw))
    except InvalidResource as refused:
        return Verdict(None, INVALID, refused.findings)
    findings = lint(flow)
    errors = tuple(one for one in (*findings, *_same_objects(flow)) if one.severity is Severity.ERROR)
    warnings = tuple(one for one in findings if one.severity is Severity.WARNING)
    if errors:
        return Verdict(flow, INVALID, errors, warnings)
    key = FlowKey(flow.metadata.namespace or "", flow.metadata.name)
    claimed = tuple(claims.rivals(key, flow, made_at(raw)))
    if claimed:
        return Verdict(flow, claimed[0].reason, tuple(one.finding for one in claimed), warnings)
    fewer = tuple(_fewer_partitions(flow, objects))
    return Verdict(flow, "PartitionDecrease" if fewer else "", fewer, warnings)


def made_at(raw: Object) -> str:
    """Return when a flow was made, as a text that sorts by time; what is not yet made comes last."""
    return str(raw["metadata"].get("creationTimestamp") or "~")


def _known(raw: Object) -> Object:
    """Return the resource without what the API server keeps beside it and nobody here reads."""
    metadata = {key: value for key, value in raw.get("metadata", {}).items() if key != "managedFields"}
    return {key: value for key, value in raw.items() if key != "status"} | {"metadata": metadata}


def _same_objects(flow: OrderFlow) -> Iterator[Finding]:
    """Yield topics whose objects would have one name: one is called as another's name is written for Kubernetes."""
    taken: dict[str, str] = {}
    for index, event in enumerate(flow.spec.events):
        topic = event_topic(flow, event).name
        other = taken.setdefault(kafkatopic.name(topic), topic)
        if other != topic:
            yield Finding(
                f"spec.events[{index}].topic.name", f"{topic} and {other} would be one KafkaTopic; rename one"
            )


def _fewer_partitions(flow: OrderFlow, objects: Objects) -> Iterable[Finding]:
    live = _partitions(objects)
    for index, event in enumerate(flow.spec.events):
        topic = event_topic(flow, event)
        has = live.get(kafkatopic.name(topic.name), 0)
        if topic.partitions < has:
            message = f"topic {topic.name} has {has} partitions and cannot shrink to {topic.partitions}"
            yield Finding(f"spec.events[{index}].topic.partitions", f"{message}: Kafka takes no partition away")


def _partitions(objects: Objects) -> Mapping[str, int]:
    prefix = entry(kafkatopic.KIND, "")
    return {name.removeprefix(prefix): one.health.wanted for name, one in objects.items() if name.startswith(prefix)}
