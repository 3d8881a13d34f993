"""From what was seen to the flow's status. Pure: the caller brings the time and what the status was.

A condition keeps its transition time while its status stays, so that an unchanged flow has an unchanged status.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orderflow_model.conditions import IDENTITIES_READY, READY, SERVICES_READY, TOPICS_READY, VALID
from orderflow_model.contracts.promise import as_text, promises
from orderflow_model.flow import OrderFlow
from orderflow_model.names import object_name
from orderflow_model.spec.console import CONSOLE
from orderflow_model.spec.services import Service
from orderflow_model.status import (
    COUNT_MAX,
    DEGRADED,
    MESSAGE_MAX,
    Condition,
    EventStatus,
    FlowStatus,
    KafkaStatus,
    ServiceStatus,
    Summary,
    TopicStatus,
    Truth,
)
from orderflow_model.timestamps import read_time, write_time
from orderflow_model.topic_changes import Ours
from orderflow_model.topics import Topic, dead_letter_topic, event_topic
from orderflow_operator.kubernetes.errors import FlowError
from orderflow_operator.kubernetes.health import NOT_APPLIED, PASSING, WAITING, Health, State
from orderflow_operator.kubernetes.kinds import ObjectKey
from orderflow_operator.reconciler.pod_problems import PodProblem, migration_of
from orderflow_operator.reconciler.validation import Validation

PAUSED_ANNOTATION = "orderflow.dev/paused"

# 251 items must fit into one object beside all else.
_ITEM_MESSAGE_MAX = 1024

_MIGRATION_FAILED = "MigrationFailed"
_LATER = "as wanted when no pod of a version before needs it otherwise"
_TAKE_UP_SECONDS = 40
"""Strimzi was seen to need 25 s for 17 topics; it looks at everything every 120 s."""

_HOW_IT_FARES: dict[str, Any] = {
    "conditions": True,
    "summary": True,
    "events": True,
    "services": {"__all__": {"ready", "desired", "reason", "message", "rollout", "since", "databases"}},
}
"""What of a status is seen anew at each turn."""

_NO_PROBLEM = PodProblem("", "")
_UNSEEN = Health(State.PENDING, NOT_APPLIED, "not written yet")


@dataclass(frozen=True)
class Observation:
    """What a reconcile saw. `topics`, `users`, `services` and their `migrations` by name; `versions` are digests of
    what services should run, `database` one of where it stands.
    `helpers` are what the flow also works without. `settled`: all else is there and ready.
    """

    flow: OrderFlow
    validation: Validation
    topics: Mapping[str, Health]
    users: Mapping[str, Health]
    services: Mapping[str, Health]
    versions: Mapping[str, str]
    migrations: Mapping[str, Health]
    settled: bool
    pod_problems: Mapping[str, PodProblem] = field(default_factory=dict)
    problems: tuple[FlowError, ...] = ()
    paused: bool = False
    deadline: int = 600
    ours: Mapping[str, Ours] = field(default_factory=dict)
    helpers: Mapping[ObjectKey, Health] = field(default_factory=dict)
    kafka: KafkaStatus | None = None
    database: str = ""


@dataclass(frozen=True)
class _Finding:
    """What a condition is to say."""

    status: Truth
    reason: str
    message: str = ""


def refused(validation: Validation, generation: int, before: FlowStatus, now: datetime) -> FlowStatus:
    """Return the status of a flow that cannot be: what runs goes on as it was, and nothing of the edit is done."""
    finding = _Finding(Truth.FALSE, validation.reason, validation.message)
    conditions = _merged({VALID: finding, READY: finding}, generation, before, now)
    kept = (one for one in before.conditions if one.type not in (VALID, READY))
    return before.model_copy(update={"observed_generation": generation, "conditions": (*conditions, *kept)})


def status_of(observation: Observation, before: FlowStatus, now: datetime) -> FlowStatus:
    """Return the status of a flow that can be."""
    events = tuple(
        _event(event_topic(observation.flow, event), event.name, observation.topics)
        for event in observation.flow.spec.events
    )
    services = tuple(_service(observation, service, before, now) for service in observation.flow.services)
    topics = _topics(observation)
    ready_topics = sum(health.state is State.READY for health in topics.values())
    ready_services = sum(not service.since for service in services)
    generation = observation.flow.metadata.generation or 0
    return FlowStatus(
        observed_generation=generation,
        conditions=_merged(_findings(observation, topics, services, before, now), generation, before, now),
        summary=Summary(
            services=f"{ready_services}/{len(services)}",
            topics=f"{ready_topics}/{len(topics)}",
        ),
        events=events,
        services=services,
        topics=_ours(observation, topics, before),
        kafka=observation.kafka or before.kafka,
        console=_console(observation.flow),
        promises=as_text(promises(observation.flow)),
    )


def _console(flow: OrderFlow) -> str | None:
    """Return where the console is found."""
    if flow.spec.console is None:
        return None
    within = f"http://{object_name(flow.metadata.name, CONSOLE)}.{flow.metadata.namespace}.svc"
    return flow.spec.console.url or within


def _findings(
    observation: Observation,
    topics: Mapping[str, Health],
    services: tuple[ServiceStatus, ...],
    before: FlowStatus,
    now: datetime,
) -> dict[str, _Finding]:
    findings = {
        VALID: _Finding(Truth.TRUE, "Valid", "; ".join(map(str, observation.validation.warnings))),
        TOPICS_READY: _overdue(
            _from_objects(observation, TOPICS_READY, "topic", topics), observation, TOPICS_READY, before, now
        ),
        IDENTITIES_READY: _overdue(
            _from_objects(observation, IDENTITIES_READY, "user", observation.users),
            observation,
            IDENTITIES_READY,
            before,
            now,
        ),
        SERVICES_READY: _services_ready(observation, services),
    }
    missing = min((one for one in findings.values() if one.status is not Truth.TRUE), key=_passes, default=None)
    if observation.paused:
        ready = _Finding(Truth.UNKNOWN, "Paused", f"remove the annotation {PAUSED_ANNOTATION} to go on")
    else:
        ready = missing or _Finding(Truth.TRUE, "Ready", _running(observation))
    return findings | {READY: ready, DEGRADED: _degraded(observation, services, now)}


def _passes(finding: _Finding) -> bool:
    """Return whether a finding only takes its time; what needs a person is told of first."""
    return finding.reason in PASSING


def _from_objects(observation: Observation, condition: str, what: str, objects: Mapping[str, Health]) -> _Finding:
    problems = [problem for problem in observation.problems if problem.condition == condition]
    if problems:
        return _from_problems(problems)
    waiting = {name: health for name, health in objects.items() if health.state is not State.READY}
    if not waiting:
        return _Finding(Truth.TRUE, "Ready")
    name, worst = min(waiting.items(), key=lambda item: item[1].state is not State.FAILED)
    more = f"; {len(waiting)} of {len(objects)} are not ready" if len(waiting) > 1 else ""
    return _Finding(Truth.FALSE, worst.reason, f"{what} {name}: {worst.message or _LATER}{more}")


def _overdue(
    finding: _Finding, observation: Observation, condition: str, before: FlowStatus, now: datetime
) -> _Finding:
    """Name what may be wrong where Strimzi has left something lying for long; users are made after topics."""
    since = [one.last_transition_time for kind in (TOPICS_READY, condition) if (one := before.condition(kind))]
    earlier = before.condition(condition)
    waits = finding.reason == WAITING and earlier is not None and earlier.status is Truth.FALSE
    if not waits or (now - max(map(read_time, since))).total_seconds() < _TAKE_UP_SECONDS:
        return finding
    asked = (
        f"is its operator running, does it watch namespace {observation.flow.metadata.namespace}, "
        f"and does it serve the Kafka {observation.flow.spec.kafka.cluster} (spec.kafka.cluster)?"
    )
    return _Finding(finding.status, "NotTakenUp", f"{finding.message} in {_TAKE_UP_SECONDS} s: {asked}")


def _running(observation: Observation) -> str:
    lacks = _lacks(observation)
    return f"all of the flow works, but: {lacks.message}" if lacks else "all of the flow runs as it says"


def _lacks(observation: Observation) -> _Finding | None:
    """Return what the flow works without and has not got."""
    for helper, health in observation.helpers.items():
        if health.state is State.FAILED:
            words = f"{helper} does not act: {health.message or health.reason}; {helper.kind.lack}"
            return _Finding(Truth.TRUE, health.reason, words)
    return None


def _from_problems(problems: list[FlowError]) -> _Finding:
    first, more = problems[0], len(problems) - 1
    return _Finding(Truth.FALSE, first.reason, f"{first.message}; and {more} more" if more else first.message)


def _services_ready(observation: Observation, services: tuple[ServiceStatus, ...]) -> _Finding:
    problems = [problem for problem in observation.problems if problem.condition == SERVICES_READY]
    if problems:
        return _from_problems(problems)
    waiting = [service for service in services if service.since]
    if not waiting:
        return _Finding(Truth.TRUE, "Ready")
    worst = min(waiting, key=lambda service: service.reason in PASSING)
    counts = f"{worst.ready} of {worst.desired} pods are ready"
    return _Finding(Truth.FALSE, worst.reason, f"service {worst.name}: {worst.message or counts}")


def _hindrance(observation: Observation, service: str, health: Health) -> PodProblem:
    """Return why a service is not ready: its migration until that is done, then its pods."""
    migration = observation.migrations.get(service, _UNSEEN)
    if migration.state is not State.READY:
        return _migrating(migration, observation.pod_problems.get(migration_of(service), _NO_PROBLEM))
    problem = observation.pod_problems.get(service, _NO_PROBLEM)
    return PodProblem(problem.reason or health.reason, problem.message or health.message)


def _migrating(migration: Health, problem: PodProblem) -> PodProblem:
    if migration.state is State.FAILED:
        words = problem.message or migration.message
        return PodProblem(_MIGRATION_FAILED, f"the migration job failed: {words}; mend it and delete the job")
    if problem.reason not in PASSING:
        return PodProblem(problem.reason, f"the migration job: {problem.message}")
    return PodProblem("Migrating", "new pods wait for the migration job of their version and credentials")


def _degraded(observation: Observation, services: tuple[ServiceStatus, ...], now: datetime) -> _Finding:
    for service in services:
        if service.reason == _MIGRATION_FAILED:
            return _Finding(Truth.TRUE, service.reason, f"service {service.name}: {service.message}")
        failed = observation.services.get(service.name, _UNSEEN).state is State.FAILED
        late = service.since and (now - read_time(service.since)).total_seconds() > observation.deadline
        if failed or late:
            counts = f"{service.ready} of {service.desired} pods are ready"
            after = f" after {observation.deadline} s" if late else ""
            words = f"; {service.message}" if service.message else ""
            return _Finding(Truth.TRUE, service.reason, f"service {service.name}: {counts}{after}{words}")
    return _lacks(observation) or _Finding(Truth.FALSE, "AsExpected")


def _event(topic: Topic, event: str, topics: Mapping[str, Health]) -> EventStatus:
    health = topics.get(topic.name, _UNSEEN)
    ready = Truth.TRUE if health.state is State.READY else Truth.FALSE
    return EventStatus(
        name=event,
        topic=topic.name,
        partitions=min(health.wanted, COUNT_MAX),
        ready=ready,
        reason=_word(health.reason),
        message=health.message[:_ITEM_MESSAGE_MAX],
    )


def _service(observation: Observation, service: Service, before: FlowStatus, now: datetime) -> ServiceStatus:
    health = observation.services.get(service.name, _UNSEEN)
    rollout = observation.versions.get(service.name, "")
    migrated = observation.migrations.get(service.name, _UNSEEN).state is State.READY
    ready = health.state is State.READY and migrated
    problem = _NO_PROBLEM if ready else _hindrance(observation, service.name, health)
    earlier = next((one for one in before.services if one.name == service.name), None)
    waits = earlier.since if earlier and earlier.rollout == rollout and earlier.since else write_time(now)
    return ServiceStatus(
        name=service.name,
        image=service.image,
        ready=min(health.ready, COUNT_MAX),
        desired=min(health.wanted, COUNT_MAX),
        reason=_word(problem.reason),
        message=problem.message[:_ITEM_MESSAGE_MAX],
        rollout=rollout,
        databases=_databases(earlier.databases if earlier else (), observation.database if migrated else ""),
        since=None if ready else waits,
    )


def _databases(noted: tuple[str, ...], place: str) -> tuple[str, ...]:
    """Return where data was before and where it is, once it is migrated at a place."""
    return noted if place in ("", *noted[-1:]) else (*noted[-1:], place)


def _topics(observation: Observation) -> dict[str, Health]:
    flow = observation.flow
    wanted = [event_topic(flow, event).name for event in flow.spec.events]
    wanted += [dead_letter_topic(flow, service).name for service in flow.services if service.subscribes]
    return {name: observation.topics.get(name, _UNSEEN) for name in wanted}


def _ours(observation: Observation, topics: Iterable[str], before: FlowStatus) -> tuple[TopicStatus, ...]:
    """Return what of the flow's topics is ours; what was not looked at is as it was, what is another's is not ours."""
    foreign = {name for name, health in observation.topics.items() if health.reason == "TopicConflict"}
    ours = {name: one for name, one in before.ours().items() if name not in foreign} | dict(observation.ours)
    return tuple(
        TopicStatus(name=name, made=_truth(ours[name].made), settings=tuple(sorted(ours[name].settings)))
        for name in topics
        if name in ours
    )


def _truth(holds: bool) -> Truth:
    return Truth.TRUE if holds else Truth.FALSE


def _merged(
    findings: Mapping[str, _Finding], generation: int, before: FlowStatus, now: datetime
) -> tuple[Condition, ...]:
    return tuple(_condition(kind, finding, generation, before, now) for kind, finding in findings.items())


def _condition(kind: str, finding: _Finding, generation: int, before: FlowStatus, now: datetime) -> Condition:
    earlier = before.condition(kind)
    same = earlier is not None and earlier.status is finding.status
    return Condition(
        type=kind,
        status=finding.status,
        reason=_word(finding.reason) or "Unknown",
        message=finding.message[:MESSAGE_MAX],
        observed_generation=generation,
        last_transition_time=earlier.last_transition_time if earlier and same else write_time(now),
    )


def may_wait(before: FlowStatus, after: FlowStatus) -> bool:
    """Return whether a status may be told with the next one: the flow was on its way before and is still.

    What a person has to see may not, nor what later turns go by: all that is not merely how things fare.
    """
    same = before.model_dump(exclude=_HOW_IT_FARES) == after.model_dump(exclude=_HOW_IT_FARES)
    return same and _is_on_its_way(before) and _is_on_its_way(after)


def _is_on_its_way(status: FlowStatus) -> bool:
    ready, degraded = status.condition(READY), status.condition(DEGRADED)
    is_degraded = degraded is not None and degraded.status is Truth.TRUE
    return ready is not None and ready.status is Truth.FALSE and ready.reason in PASSING and not is_degraded


def changed(before: FlowStatus, after: FlowStatus, kinds: Iterable[str]) -> list[Condition]:
    """Return the conditions of these types whose status or reason is another than before."""
    found = []
    for condition in (after.condition(kind) for kind in kinds):
        earlier = before.condition(condition.type) if condition else None
        told = (earlier.status, earlier.reason) if earlier else None
        if condition and told != (condition.status, condition.reason):
            found.append(condition)
    return found


def _word(reason: str) -> str:
    """Return a reason as the CRD takes it; others' reasons are only theirs to form."""
    return re.sub(r"[^A-Za-z0-9_]", "", reason).lstrip("0123456789_")[:256]
