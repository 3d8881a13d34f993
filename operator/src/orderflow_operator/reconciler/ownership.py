"""Which flow has which topics and object names: who was there first keeps them. Admission and reconcile ask here.

One flow's resource does not show what others have. The claims of all flows are kept by topic, so that looking for
conflicts costs as much as the flow has topics, however many flows there are.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from orderflow_model.findings import Finding
from orderflow_model.flow import OrderFlow
from orderflow_model.lint.secrets import named_secrets
from orderflow_model.names import dead_letter_topic_name, object_name
from orderflow_model.spec.kafka import Provisioner
from orderflow_model.topics import event_topic
from orderflow_operator.kubernetes.cache import FlowKey


@dataclass(frozen=True)
class OwnershipConflict:
    """A topic or name that belongs to another flow."""

    reason: str
    finding: Finding


class _Claim(NamedTuple):
    """What is claimed, as a number: names of thousands of topics would fill the memory."""

    number: int
    reason: str
    finding: Finding


class _Record(NamedTuple):
    """What is kept of a flow. `age` sorts by time; `strimzi` tells whether its users' Secrets are Strimzi's."""

    age: tuple[str, str]
    strimzi: bool
    numbers: tuple[int, ...]


class OwnershipIndex:
    """All claims of all flows."""

    def __init__(self) -> None:
        self._claimants: dict[int, tuple[FlowKey, ...]] = {}
        self._of: dict[FlowKey, _Record] = {}

    def __len__(self) -> int:
        return len(self._of)

    def put(self, key: FlowKey, flow: OrderFlow, since: str) -> None:
        """Record what a flow claims, in place of what it claimed before; `since` is when it was made."""
        strimzi = flow.spec.kafka.provisioner is Provisioner.STRIMZI
        numbers = tuple(sorted({claim.number for claim in _claims(key, flow)}))
        record = _Record((since, flow.metadata.uid or ""), strimzi, numbers)
        if self._of.get(key) == record:
            return
        self.drop(key)
        self._of[key] = record
        for number in record.numbers:
            self._claimants[number] = (*self._claimants.get(number, ()), key)

    def drop(self, key: FlowKey) -> set[FlowKey]:
        """Forget a flow; return those that wanted the same as it."""
        record = self._of.pop(key, None)
        conflicts: set[FlowKey] = set()
        for number in record.numbers if record else ():
            rest = tuple(other for other in self._claimants.pop(number) if other != key)
            if rest:
                self._claimants[number] = rest
                conflicts.update(rest)
        return conflicts

    def conflicts(self, key: FlowKey, flow: OrderFlow, since: str) -> Iterator[OwnershipConflict]:
        """Yield what the flow wants and another had before, or has to itself."""
        age = (since, flow.metadata.uid or "")
        for claim in _claims(key, flow):
            for other in self._claimants.get(claim.number, ()):
                if other != key and self._of[other].age < age:
                    finding = replace(claim.finding, message=f"{claim.finding.message} OrderFlow {other}")
                    yield OwnershipConflict(claim.reason, finding)
        yield from self._foreign_secrets(key, flow)

    def _foreign_secrets(self, key: FlowKey, flow: OrderFlow) -> Iterator[OwnershipConflict]:
        """Yield what a service names of another flow's: Strimzi calls a user's Secret as the service's objects."""
        for named in named_secrets(flow):
            for other in self._claimants.get(_number("object", key.namespace, named.reference.name), ()):
                if other != key and self._of[other].strimzi:
                    words = f"Secret {named.reference.name} is what a service of OrderFlow {other} proves itself with"
                    yield OwnershipConflict("SecretConflict", Finding(named.place, words))


def _claims(key: FlowKey, flow: OrderFlow) -> Iterator[_Claim]:
    for place, topic in _topics(flow):
        for kafka in _kafkas(key, flow):
            finding = Finding(place, f"topic {topic} belongs to")
            yield _Claim(_number("topic", kafka, topic.replace("_", ".")), "TopicConflict", finding)
    for index, service in enumerate(flow.spec.services):
        name = object_name(flow.metadata.name, service.name)
        finding = Finding(f"spec.services[{index}].name", f"objects named {name} belong to")
        yield _Claim(_number("object", key.namespace, name), "ObjectConflict", finding)


def _number(*parts: str) -> int:
    return int.from_bytes(hashlib.blake2b("\0".join(parts).encode(), digest_size=7).digest())


def _topics(flow: OrderFlow) -> Iterator[tuple[str, str]]:
    for index, event in enumerate(flow.spec.events):
        yield f"spec.events[{index}].topic.name", event_topic(flow, event).name
    for index, service in enumerate(flow.spec.services):
        if service.subscribes:
            yield f"spec.services[{index}].name", dead_letter_topic_name(flow.metadata.name, service.name)


def _kafkas(key: FlowKey, flow: OrderFlow) -> tuple[str, ...]:
    """Return what tells one Kafka from another: a Strimzi cluster's name within its namespace, or each address."""
    kafka = flow.spec.kafka
    if kafka.provisioner is Provisioner.STRIMZI:
        return (f"{key.namespace}/{kafka.cluster}",)
    return kafka.bootstrap_servers
