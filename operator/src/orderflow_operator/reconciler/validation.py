"""Whether a flow can be: one judgement for the webhook, which refuses by it, and for the reconcile, whose Valid it is.

What the API server's own rules refuse is refused here too, so that the operator is as strict without them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

from orderflow_model.contracts.changes import Break
from orderflow_model.findings import Finding, InvalidResourceError, Severity
from orderflow_model.flow import OrderFlow
from orderflow_model.lint.flow import lint
from orderflow_model.loading.load import parse_flow
from orderflow_model.topics import Topic, event_topic, flow_topics
from orderflow_operator.kubernetes.cache import FlowKey, Objects
from orderflow_operator.kubernetes.health import Health, State
from orderflow_operator.kubernetes.kinds import KAFKA_TOPIC, ObjectKey
from orderflow_operator.kubernetes.labels import Object
from orderflow_operator.reconciler.contract_changes import BREAKING, advice, breaks_of, idle_wishes, unwanted
from orderflow_operator.reconciler.ownership import OwnershipIndex
from orderflow_operator.reconciler.recent import Recent
from orderflow_operator.resources import kafkatopic

INVALID = "Invalid"

_MOST_TOLD = 5
_BESIDE = ("managedFields", "resourceVersion")


@dataclass(frozen=True)
class Reading:
    """A flow, what lint finds in it, and its topics: all that follows from the resource alone."""

    flow: OrderFlow
    findings: tuple[Finding, ...]

    @cached_property
    def topics(self) -> tuple[Topic, ...]:
        """The topics of a sound flow."""
        return flow_topics(self.flow)

    @classmethod
    def of(cls, raw: Object) -> "Reading":
        """Return what a resource says; raise `InvalidResourceError` when it is none."""
        flow = parse_flow(raw)
        return cls(flow, lint(flow))


@dataclass(frozen=True)
class Validation:
    """`flow` is None when it cannot even be read. `reason` and `findings` say why it is refused; empty if it is not.

    `breaks` is what it breaks of its promises; of a flow that can be, what is wanted. `topics` are its own.
    """

    flow: OrderFlow | None
    reason: str = ""
    findings: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()
    advice: str = ""
    breaks: tuple[Break, ...] = ()
    topics: tuple[Topic, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether the flow can be."""
        return not self.findings

    @property
    def claimant(self) -> OrderFlow | None:
        """The flow where it is sound by itself: what it has stays its own, whatever else keeps its edit from being."""
        return None if self.reason == INVALID else self.flow

    @property
    def message(self) -> str:
        """The first findings, as a person reads them."""
        told = "; ".join(map(str, self.findings[:_MOST_TOLD]))
        more = len(self.findings) - _MOST_TOLD
        return f"{told}{f'; and {more} more' if more > 0 else ''}{self.advice and f'; {self.advice}'}"


def validate(
    raw: Object, ownership: OwnershipIndex, objects: Objects, readings: Recent[Reading] | None = None
) -> Validation:
    """Judge a flow as the API server has it, by itself, by what is there of it and by what other flows have.

    `readings` are those of the turns before.
    """
    key, known = key_of(raw), _known(raw)
    try:
        reading = (readings or Recent()).of(key, known, partial(Reading.of, known))
    except InvalidResourceError as refused:
        return Validation(None, INVALID, refused.findings)
    flow, breaks = reading.flow, breaks_of(raw, reading.flow)
    findings = (*reading.findings, *idle_wishes(flow, breaks))
    errors = tuple(one for one in (*findings, *_same_objects(flow)) if one.severity is Severity.ERROR)
    warnings = tuple(one for one in findings if one.severity is Severity.WARNING)
    if errors:
        return Validation(flow, INVALID, errors, warnings)
    claimed = tuple(ownership.conflicts(key, flow, made_at(raw), raw.get("status")))
    if claimed:
        return Validation(flow, claimed[0].reason, tuple(one.finding for one in claimed), warnings)
    present = tuple(_present(reading.topics, objects))
    if fewer := tuple(_fewer_partitions(present)):
        return Validation(flow, "PartitionDecrease", fewer, warnings)
    if other := tuple(_other_replicas(flow, present)):
        return Validation(flow, "ReplicaChange", other, warnings)
    if unread := unwanted(flow, breaks):
        return Validation(flow, BREAKING, unread, warnings, advice(breaks))
    return Validation(flow, warnings=warnings, breaks=breaks, topics=reading.topics)


def made_at(raw: Object) -> str:
    """Return when a flow was made, as a text that sorts by time; what is not yet made comes last."""
    return str(raw["metadata"].get("creationTimestamp") or "~")


def key_of(raw: Object) -> FlowKey:
    """Return which flow a resource is."""
    metadata = raw.get("metadata", {})
    return FlowKey(metadata.get("namespace") or "", metadata.get("name") or "")


def _known(raw: Object) -> Object:
    """Return the resource without what the API server keeps beside it and nobody here reads, or changes by itself."""
    metadata = {key: value for key, value in raw.get("metadata", {}).items() if key not in _BESIDE}
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


def _fewer_partitions(present: Iterable[tuple[Topic, Health]]) -> Iterator[Finding]:
    for topic, has in present:
        if topic.partitions < has.wanted:
            message = f"topic {topic.name} has {has.wanted} partitions and cannot shrink to {topic.partitions}"
            yield Finding(f"{topic.place}.partitions", f"{message}: Kafka takes no partition away")


def _other_replicas(flow: OrderFlow, present: Iterable[tuple[Topic, Health]]) -> Iterator[Finding]:
    """Yield topics that Strimzi would refuse, and do in part. Of one that it refuses by now it is not known."""
    said = {f"spec.events[{index}].topic" for index, event in enumerate(flow.spec.events) if event.topic.replicas}
    for topic, has in present:
        if has.state is State.READY and has.ready not in (0, topic.replicas):
            message = f"topic {topic.name} has {has.ready} replicas, not {topic.replicas}"
            place = topic.place if topic.place in said else "spec.defaults.topic"
            yield Finding(f"{place}.replicas", f"{message}; reassign its partitions first, or give back the number")


def _present(topics: Iterable[Topic], objects: Objects) -> Iterator[tuple[Topic, Health]]:
    for topic in topics:
        cached = objects.get(ObjectKey(KAFKA_TOPIC, kafkatopic.name(topic.name)))
        if cached is not None:
            yield topic, cached.health
