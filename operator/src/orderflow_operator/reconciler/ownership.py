"""Which flow has which topics and object names: who was there first keeps them. Admission and reconcile ask here.

One flow's resource does not show what others have. The claims of all flows are kept by topic, so that looking for
conflicts costs as much as the flow has topics, however many flows there are.

A claim that was granted comes before one that only waits; among equals the older flow's does. The index remembers
what it granted. After a restart the flow's status tells, which its author cannot write: of topics by its events,
services and topics, of object names by its services. An Admin flow may move to another Kafka, and which Secrets a flow
names stands in no status: of these it tells only where it is of this very spec, and valid.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from orderflow_model.conditions import VALID
from orderflow_model.findings import Finding
from orderflow_model.flow import OrderFlow
from orderflow_model.lint.secrets import named_secrets
from orderflow_model.names import dead_letter_topic_name, object_name
from orderflow_model.placement import processes
from orderflow_model.spec.analytics import ANALYTICS
from orderflow_model.spec.kafka import Provisioner
from orderflow_model.status import FlowStatus, Truth
from orderflow_model.topics import event_topic
from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.reconciler.recent import Recent


@dataclass(frozen=True)
class OwnershipConflict:
    """A topic or name that belongs to another flow."""

    reason: str
    finding: Finding


class _Claim(NamedTuple):
    """What is claimed, and what claim of others it cannot stand beside; as numbers: names would fill the memory.

    Most are claimed by one alone, and the two are the same. Many may name one Secret, which then no user has.
    """

    number: int
    against: int
    reason: str
    finding: Finding


class _Record(NamedTuple):
    """What is kept of a flow. `age` sorts by time.

    `waiting` are those of its numbers that were not granted: few have any.
    """

    age: tuple[str, str]
    numbers: tuple[int, ...]
    against: tuple[int, ...]
    waiting: tuple[int, ...]


class OwnershipIndex:
    """All claims of all flows."""

    def __init__(self) -> None:
        self._claimants: dict[int, tuple[FlowKey, ...]] = {}
        self._of: dict[FlowKey, _Record] = {}
        self._claims: Recent[tuple[_Claim, ...]] = Recent()

    def __len__(self) -> int:
        return len(self._of)

    def put(self, key: FlowKey, flow: OrderFlow, since: str, status: object = None) -> set[FlowKey]:
        """Record what a flow claims, in place of what it claimed before; `since` is when it was made.

        What it has of that is what was granted, or after a restart what its status tells of; `status` is as it stands
        in the resource, and only then read. Return those who wanted what it claims no more.
        """
        return self._record(key, flow, since, self._had(key, flow, status))

    def grant(self, key: FlowKey, flow: OrderFlow, since: str) -> set[FlowKey]:
        """Record that a flow has all it claims: nobody had it before. Return those who wanted what it gave free."""
        return self._record(key, flow, since, None)

    def _record(self, key: FlowKey, flow: OrderFlow, since: str, had: set[int] | None) -> set[FlowKey]:
        claims = self._claims_of(key, flow)
        numbers = tuple(sorted({claim.number for claim in claims}))
        against = tuple(sorted({claim.against for claim in claims}))
        waiting = () if had is None else tuple(number for number in numbers if number not in had)
        record, before = _Record((since, flow.metadata.uid or ""), numbers, against, waiting), self._of.get(key)
        if before == record:
            return set()
        self.drop(key)
        self._of[key] = record
        for number in record.numbers:
            self._claimants[number] = (*self._claimants.get(number, ()), key)
        return self._claiming(set(before.against).difference(against)) - {key} if before else set()

    def _claims_of(self, key: FlowKey, flow: OrderFlow) -> tuple[_Claim, ...]:
        return self._claims.of(key, flow, lambda: tuple(_claims(key, flow)))

    def _had(self, key: FlowKey, flow: OrderFlow, status: object) -> set[int]:
        """Return what was granted to this very flow, by its record; else what its status tells."""
        record = self._of.get(key)
        if record is None or record.age[1] != (flow.metadata.uid or ""):
            return set(_told(key, flow, FlowStatus.of(status)))
        return set(record.numbers).difference(record.waiting)

    def drop(self, key: FlowKey) -> set[FlowKey]:
        """Forget a flow; return those that wanted the same as it."""
        record = self._of.pop(key, None)
        if record is None:
            return set()
        for number in record.numbers:
            rest = tuple(other for other in self._claimants.pop(number) if other != key)
            if rest:
                self._claimants[number] = rest
        return self._claiming(record.against)

    def _claiming(self, numbers: Iterable[int]) -> set[FlowKey]:
        return {flow for number in numbers for flow in self._claimants.get(number, ())}

    def conflicts(
        self, key: FlowKey, flow: OrderFlow, since: str, status: object = None
    ) -> Iterator[OwnershipConflict]:
        """Yield what the flow wants and another had before, or has to itself."""
        age, had = (since, flow.metadata.uid or ""), self._had(key, flow, status)
        for claim in self._claims_of(key, flow):
            rank = (claim.number not in had, age)
            for other in self._claimants.get(claim.against, ()):
                if other != key and self._rank(other, claim.against) < rank:
                    finding = replace(claim.finding, message=f"{claim.finding.message} OrderFlow {other}")
                    yield OwnershipConflict(claim.reason, finding)

    def _rank(self, key: FlowKey, number: int) -> tuple[bool, tuple[str, str]]:
        record = self._of[key]
        return number in record.waiting, record.age


def _claims(key: FlowKey, flow: OrderFlow) -> Iterator[_Claim]:
    for place, topic in _topics(flow):
        for kafka in _kafkas(key, flow):
            number = _topic_number(kafka, topic)
            yield _Claim(number, number, "TopicConflict", Finding(place, f"topic {topic} belongs to"))
    for asked, service in flow.services_by_place.items():
        name, place = object_name(flow.metadata.name, service.name), _name_of(asked)
        number = _number("object", key.namespace, name)
        yield _Claim(number, number, "ObjectConflict", Finding(place, f"objects named {name} belong to"))
        if flow.spec.kafka.provisioner is Provisioner.STRIMZI:
            finding = Finding(place, f"Secret {name}, which Strimzi would make for this service, is named by")
            users, named_by = _of_secret(key, name)
            yield _Claim(users, named_by, "SecretConflict", finding)
    for process in processes(flow):
        if process.is_shared:
            name = object_name(flow.metadata.name, process.name)
            number = _number("object", key.namespace, name)
            yield _Claim(number, number, "ObjectConflict", Finding("spec.placement", f"objects named {name} belong to"))
    for named in named_secrets(flow):
        name = named.name
        if name not in {object_name(flow.metadata.name, service.name) for service in flow.services}:
            finding = Finding(named.place, f"Secret {name} is what Strimzi makes for a service of")
            users, named_by = _of_secret(key, name)
            yield _Claim(named_by, users, "SecretConflict", finding)


def _of_secret(key: FlowKey, name: str) -> tuple[int, int]:
    """Return the claims on a Secret of whoever has the user that Strimzi makes it for, and of those who name it."""
    return _number("user", key.namespace, name), _number("named", key.namespace, name)


def _told(key: FlowKey, flow: OrderFlow, status: FlowStatus) -> Iterator[int]:
    """Yield what the flow had when its status was written: a flow that is refused keeps what its status told before."""
    for service in status.services:
        name = object_name(key.name, service.name)
        yield _number("object", key.namespace, name)
        yield _of_secret(key, name)[0]
    current = _is_of_spec(flow, status)
    if current:
        yield from (_of_secret(key, named.name)[1] for named in named_secrets(flow))
    if not (current or flow.spec.kafka.provisioner is Provisioner.STRIMZI):  # a Strimzi cluster cannot change
        return
    topics = {one.topic for one in status.events} | {one.name for one in status.topics}
    topics |= {dead_letter_topic_name(key.name, one.name) for one in status.services}
    for kafka in _kafkas(key, flow):
        yield from (_topic_number(kafka, topic) for topic in topics)


def _is_of_spec(flow: OrderFlow, status: FlowStatus) -> bool:
    """Return whether the status speaks of this very spec, and of one that was granted."""
    valid = status.condition(VALID)
    current = status.observed_generation == flow.metadata.generation
    return current and valid is not None and valid.status is Truth.TRUE


def _topic_number(kafka: str, topic: str) -> int:
    return _number("topic", kafka, topic.replace("_", "."))


def _number(*parts: str) -> int:
    return int.from_bytes(hashlib.blake2b("\0".join(parts).encode(), digest_size=7).digest())


def _topics(flow: OrderFlow) -> Iterator[tuple[str, str]]:
    for index, event in enumerate(flow.spec.events):
        yield f"spec.events[{index}].topic.name", event_topic(flow, event).name
    for place, service in flow.services_by_place.items():
        if service.subscribes:
            yield _name_of(place), dead_letter_topic_name(flow.metadata.name, service.name)


def _name_of(place: str) -> str:
    """Return where a service got its name: what the resource implies has none of its own."""
    return place if place == ANALYTICS else f"{place}.name"


def _kafkas(key: FlowKey, flow: OrderFlow) -> tuple[str, ...]:
    """Return what tells one Kafka from another: a Strimzi cluster's name within its namespace, or each address."""
    kafka = flow.spec.kafka
    if kafka.provisioner is Provisioner.STRIMZI:
        return (f"{key.namespace}/{kafka.cluster}",)
    return kafka.bootstrap_servers
