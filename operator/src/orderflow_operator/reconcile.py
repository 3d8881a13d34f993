"""From what an OrderFlow says to what is there: one function, level-based, that reads as its steps.

Every event of every kind ends here, through the queue, and none brings more than the flow's name: each time all is
looked at anew, so that nothing depends on which events came, or in which order. It may stop at any point and begin
again.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from orderflow_model.flow import DeletionPolicy, OrderFlow
from orderflow_model.topics import flow_topics
from orderflow_operator.announcements import announcements
from orderflow_operator.claims import Claims
from orderflow_operator.cluster import Cluster
from orderflow_operator.credentials import Credentials
from orderflow_operator.desired import desired
from orderflow_operator.errors import FlowError
from orderflow_operator.flow_status import FlowStatus
from orderflow_operator.health import Health, State
from orderflow_operator.kafka_admin import Provisioned
from orderflow_operator.kinds import SCALED_OBJECT
from orderflow_operator.live import digest_of, written
from orderflow_operator.metrics import ERRORS
from orderflow_operator.outcome import Outcome
from orderflow_operator.pods import troubles
from orderflow_operator.provisioning import Provisioning, needs_admin
from orderflow_operator.prune import prune
from orderflow_operator.resources import deployment, kafkatopic, kafkauser, migrationjob, networkpolicy
from orderflow_operator.resources.metadata import Object
from orderflow_operator.status import PAUSED_ANNOTATION, Seen, refused, status_of
from orderflow_operator.store import FlowKey, Objects, entry
from orderflow_operator.surroundings import Surroundings
from orderflow_operator.teardown import add_finalizer, tear_down
from orderflow_operator.verdict import INVALID, Verdict, judge, made_at


@dataclass(frozen=True)
class Parts:
    """What a reconcile works with. `rollout_deadline` in seconds."""

    cluster: Cluster
    claims: Claims
    credentials: Credentials
    provisioning: Provisioning
    wake: Callable[[FlowKey], None]
    now: Callable[[], datetime]
    rollout_deadline: int


@dataclass(frozen=True)
class Done:
    """What apply and prune did: what was found at Kafka, what could not be, whether anything was written."""

    provisioned: Provisioned = field(default_factory=Provisioned)
    problems: list[FlowError] = field(default_factory=list)
    wrote: bool = False


async def reconcile(key: FlowKey, parts: Parts) -> Outcome:
    """Make what is there of a flow what it says; tell how far that came."""
    raw = await parts.cluster.flow(key)
    if raw is None:
        return await _forget(key, parts)

    # 1 parse
    verdict = judge(raw, parts.claims, parts.cluster.objects(key))
    if raw["metadata"].get("deletionTimestamp"):
        return await tear_down(key, raw, verdict.flow, parts.cluster, parts.provisioning, parts.now())
    if verdict.flow is None or not verdict.valid:
        return await _refuse(key, raw, verdict, parts)
    flow, paused = verdict.flow, _is_paused(raw)
    parts.claims.put(key, flow, made_at(raw))
    if needs_admin(flow):
        await add_finalizer(key, raw, parts.cluster)

    # 2 observe
    around, problems = await _surroundings(key, flow, parts)

    # 3 desired
    wanted = desired(flow, around)

    # 4 apply, 5 prune
    before = FlowStatus.of(raw.get("status"))
    done = Done() if paused else await _make_true(key, flow, wanted, around, before, parts)

    # 6 status
    problems += done.problems
    seen = _seen(flow, verdict, wanted, parts.cluster.objects(key), done.provisioned)
    looked = replace(
        seen,
        troubles={} if seen.settled or done.wrote else troubles(await parts.cluster.pods(key)),
        problems=tuple(problems),
        paused=paused,
        deadline=parts.rollout_deadline,
    )
    await _write_status(key, raw, before, status_of(looked, before, parts.now()), parts)
    if problems:
        return Outcome.TROUBLED
    return Outcome.SETTLED if seen.settled and not done.wrote else Outcome.PENDING


async def _forget(key: FlowKey, parts: Parts) -> Outcome:
    """Forget a flow that is gone; what waited for its topics and names gets its turn.

    Kubernetes removes what the flow owned, unless the CRD goes too: its garbage collector looks owners up, and finds
    none of that kind. Topics stay then, as Retain would have it.
    """
    for rival in parts.claims.drop(key):
        parts.wake(rival)
    parts.credentials.forget(key)
    if await parts.cluster.defined():
        return Outcome.GONE
    left, _ = await prune(key, set(), {kafkatopic.KIND}, parts.cluster, parts.credentials.remove)
    return Outcome.PENDING if left else Outcome.GONE


async def _refuse(key: FlowKey, raw: Object, verdict: Verdict, parts: Parts) -> Outcome:
    """Say why a flow cannot be; what runs of it goes on. One that wants another's topics waits for them."""
    if verdict.flow is not None and verdict.reason != INVALID:
        parts.claims.put(key, verdict.flow, made_at(raw))
    before = FlowStatus.of(raw.get("status"))
    after = refused(verdict, raw["metadata"].get("generation", 0), before, parts.now())
    await _write_status(key, raw, before, after, parts)
    return Outcome.SETTLED


def _is_paused(raw: Object) -> bool:
    return bool((raw["metadata"].get("annotations") or {}).get(PAUSED_ANNOTATION) == "true")


async def _surroundings(key: FlowKey, flow: OrderFlow, parts: Parts) -> tuple[Surroundings, list[FlowError]]:
    keda = parts.cluster.served(SCALED_OBJECT)
    try:
        database = await parts.credentials.database(key, flow)
    except FlowError as problem:
        return Surroundings(keda, None, parts.rollout_deadline), [problem]
    return Surroundings(keda, database, parts.rollout_deadline), []


async def _make_true(
    key: FlowKey, flow: OrderFlow, wanted: list[Object], around: Surroundings, before: FlowStatus, parts: Parts
) -> Done:
    provisioned, (applied, refused_objects) = await asyncio.gather(
        parts.provisioning.provision(key, flow, around, before),  # a broker that is away holds up nothing else
        _apply(key, flow, wanted, around, parts.cluster),
    )
    keep = {entry(one["kind"], one["metadata"]["name"]) for one in wanted}
    retire = partial(parts.provisioning.retire, flow)
    pruned, kept_back = await prune(key, keep, _outlives(flow), parts.cluster, retire)
    problems = [*provisioned.problems, *refused_objects, *kept_back]
    for problem in problems:
        ERRORS.labels(problem.reason).inc()
    return Done(provisioned, problems, applied or pruned)


async def _apply(
    key: FlowKey, flow: OrderFlow, wanted: list[Object], around: Surroundings, cluster: Cluster
) -> tuple[bool, list[FlowError]]:
    """Apply what can be by now, side by side; tell whether anything was written, and what was refused."""
    held = _held(wanted, around, cluster.objects(key))
    applying = (cluster.apply(key, flow.metadata.uid or "", one) for one in wanted if one["kind"] not in held)
    results = await asyncio.gather(*applying, return_exceptions=True)
    failures = [one for one in results if isinstance(one, BaseException) and not isinstance(one, FlowError)]
    if failures:
        raise failures[0]
    return any(one is True for one in results), [one for one in results if isinstance(one, FlowError)]


def _held(wanted: list[Object], around: Surroundings, objects: Objects) -> frozenset[str]:
    """Return the kinds that wait: pods for their migration, and that for the database to be known."""
    if around.database is None:
        return frozenset({migrationjob.KIND, deployment.KIND, networkpolicy.KIND})
    migrated = all(_fares(one, objects).state is State.READY for one in wanted if one["kind"] == migrationjob.KIND)
    return frozenset() if migrated else frozenset({deployment.KIND})


def _outlives(flow: OrderFlow) -> frozenset[str]:
    """Return the kinds that stay though the flow no longer wants them."""
    return frozenset({kafkatopic.KIND} if flow.spec.deletion_policy is DeletionPolicy.RETAIN else ())


def _seen(flow: OrderFlow, verdict: Verdict, wanted: list[Object], objects: Objects, provisioned: Provisioned) -> Seen:
    fares = {entry(one["kind"], one["metadata"]["name"]): _fares(one, objects) for one in wanted}
    states = [health.state for health in (*fares.values(), *provisioned.topics.values())]
    return Seen(
        flow=flow,
        verdict=verdict,
        topics=_topics(flow, fares) | provisioned.topics,
        users=_by_kind(fares, kafkauser.KIND) | provisioned.users,
        services=_services(flow, fares),
        versions=_versions(flow, wanted),
        migration=next(iter(_by_kind(fares, migrationjob.KIND).values())),
        settled=all(state is State.READY for state in states),
    )


def _fares(wanted: Object, objects: Objects) -> Health:
    """Return how an object fares as far as it is the one wanted; an older version of it is never ready."""
    live = objects.get(entry(wanted["kind"], wanted["metadata"]["name"]))
    if live is None:
        return Health(State.PENDING, "NotApplied", "not written yet")
    if not live.clean or live.applied != digest_of(wanted):
        return live.health._replace(state=State.PENDING, reason="RollingOut", message="")
    return live.health


def _by_kind(fares: Mapping[str, Health], kind: str) -> dict[str, Health]:
    prefix = entry(kind, "")
    return {name.removeprefix(prefix): health for name, health in fares.items() if name.startswith(prefix)}


def _topics(flow: OrderFlow, fares: Mapping[str, Health]) -> dict[str, Health]:
    found = _by_kind(fares, kafkatopic.KIND)
    named = ((topic.name, kafkatopic.name(topic.name)) for topic in flow_topics(flow))
    return {topic: found[name] for topic, name in named if name in found}


def _services(flow: OrderFlow, fares: Mapping[str, Health]) -> dict[str, Health]:
    found = _by_kind(fares, deployment.KIND)
    return {service.name: found[deployment.name(flow, service.name)] for service in flow.spec.services}


def _versions(flow: OrderFlow, wanted: Iterable[Object]) -> dict[str, str]:
    digests = {one["metadata"]["name"]: digest_of(one) for one in wanted if one["kind"] == deployment.KIND}
    return {service.name: written(digests[deployment.name(flow, service.name)]) for service in flow.spec.services}


async def _write_status(key: FlowKey, raw: Object, before: FlowStatus, after: FlowStatus, parts: Parts) -> None:
    """Write the status if it is another than before, and tell people what they should see."""
    if after != before:
        status = after.model_dump(mode="json", exclude_none=True)
        await parts.cluster.write_status(key, raw["metadata"]["uid"], status)
        for event in announcements(raw, before, after, parts.now()):
            await parts.cluster.post_event(event)
