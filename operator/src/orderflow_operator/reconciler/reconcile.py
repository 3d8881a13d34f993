"""From what an OrderFlow says to what is there: one function, level-based, that reads as its steps.

Every event of every kind ends here, through the queue, and none brings more than the flow's name: each time all is
looked at anew, so that nothing depends on which events came, or in which order. It may stop at any point and begin
again.
"""

import logging
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from orderflow_model.conditions import READY
from orderflow_model.findings import Finding
from orderflow_model.flow import OrderFlow
from orderflow_model.placement import processes
from orderflow_model.status import FlowStatus
from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.kubernetes.errors import FlowError
from orderflow_operator.kubernetes.health import NOT_APPLIED, State
from orderflow_operator.kubernetes.kinds import JOB, KAFKA_TOPIC, POD_MONITOR, PROMETHEUS_RULE, SCALED_OBJECT
from orderflow_operator.kubernetes.labels import SERVICE_LABEL, Object
from orderflow_operator.metrics import ERRORS
from orderflow_operator.reconciler.apply import ChangeResult, apply_changes
from orderflow_operator.reconciler.context import Dependencies, ReconcileContext, is_paused
from orderflow_operator.reconciler.credentials import Admin
from orderflow_operator.reconciler.events import break_events, condition_events
from orderflow_operator.reconciler.finalize import finalize
from orderflow_operator.reconciler.network import addresses, pod_ports
from orderflow_operator.reconciler.observe import observe_objects, seen_with_several
from orderflow_operator.reconciler.outcome import Outcome
from orderflow_operator.reconciler.pod_problems import PodProblem, find_problems, migrating, migration_of
from orderflow_operator.reconciler.prune import prune
from orderflow_operator.reconciler.rights import permitted
from orderflow_operator.reconciler.status import Observation, may_wait, refused, status_of
from orderflow_operator.reconciler.validation import Validation, made_at, validate
from orderflow_operator.resources.build_context import BuildContext, Port, Proofs
from orderflow_operator.resources.desired import desired

logger = logging.getLogger(__name__)


async def reconcile(key: FlowKey, deps: Dependencies) -> Outcome:
    """Make what is there of a flow what it says; tell how far that came."""
    raw = await deps.cluster.flow(key)
    if raw is None:
        return await _forget(key, deps)

    # 1 parse
    validation = validate(raw, deps.ownership, deps.cluster.objects(key), deps.readings)
    before = FlowStatus.of(raw.get("status"))
    if raw["metadata"].get("deletionTimestamp"):
        return await finalize(key, raw, validation.flow, deps)
    if validation.flow is None or not validation.valid:
        await _refuse(key, raw, before, validation, deps)
        return Outcome.SETTLED
    if elsewhere := await _elsewhere(key, before, validation, validation.flow, deps):
        await _refuse(key, raw, before, elsewhere, deps)
        return Outcome.TROUBLED  # nobody tells when a Kafka answers, or what is there is given up
    _wake(deps.ownership.grant(key, validation.flow, made_at(raw)), deps)

    # 2 observe
    paused = is_paused(raw)
    admin, proofs, problems = await _credentials(key, validation.flow, deps, write=not paused)
    ports = await pod_ports(key.namespace, addresses(validation.flow, admin.uri if admin else None), deps.cluster)
    several = seen_with_several(validation.flow, deps.cluster.objects(key))
    build = replace(_build_context(admin, proofs, ports, several, deps), places=_places(before))

    # 3 desired
    wanted = deps.wanted.of(key, (validation.flow, build), partial(desired, validation.flow, build))
    context = ReconcileContext(key, raw, validation.flow, admin, build, wanted, before)

    # 4 apply, 5 prune
    result = ChangeResult() if paused else await apply_changes(context, deps)

    # 6 status
    problems += result.problems
    objects = deps.cluster.objects(key)
    observation = observe_objects(
        replace(context, wanted=permitted(wanted, objects)), validation, objects, result.provisioned
    )
    looked = replace(
        observation,
        pod_problems={} if observation.settled or result.applied else await _pod_problems(context, observation, deps),
        problems=tuple(problems),
        paused=paused,
        deadline=deps.rollout_deadline,
    )
    deps.credentials.note_turn(key, on_the_way=result.applied and not observation.settled)
    await _tell(context, validation, result, status_of(looked, context.before, deps.now()), deps)
    return _outcome(problems, observation, result)


def _outcome(problems: list[FlowError], observation: Observation, result: ChangeResult) -> Outcome:
    """Return how a turn ended; what was wrong is counted."""
    for problem in problems:
        ERRORS.labels(problem.reason).inc()
    if problems:
        return Outcome.TROUBLED
    if observation.settled and not result.pruned:
        return Outcome.SETTLED
    return Outcome.ENDING if result.ending else Outcome.PENDING


def _places(before: FlowStatus) -> dict[str, tuple[str, ...]]:
    """Return in which databases each service's data was before and is."""
    return {service.name: service.databases for service in before.services}


async def _tell(
    context: ReconcileContext, validation: Validation, result: ChangeResult, after: FlowStatus, deps: Dependencies
) -> None:
    """Write the status, unless the turn that what was applied just now will have may tell of it too.

    What breaks is told first: once the status has the new promises, nobody knows of the old ones.
    """
    for event in break_events(context.raw, validation.breaks, deps.now()):
        await deps.cluster.post_event(event)
    if not (result.applied and may_wait(context.before, after)):
        await _write_status(context.key, context.raw, context.before, after, deps)


def _build_context(
    admin: Admin | None, proofs: Proofs, ports: tuple[Port, ...], several: frozenset[str], deps: Dependencies
) -> BuildContext:
    return BuildContext(
        keda=deps.cluster.served(SCALED_OBJECT),
        database=admin.database if admin else None,
        rollout_deadline=deps.rollout_deadline,
        monitoring=deps.monitoring if all(map(deps.cluster.served, (POD_MONITOR, PROMETHEUS_RULE))) else None,
        proofs=proofs,
        network=deps.network,
        ports=ports,
        several=several,
    )


async def _pod_problems(
    context: ReconcileContext, observation: Observation, deps: Dependencies
) -> dict[str, PodProblem]:
    """Return what is wrong with pods, or keeps the migration job from having one: only an Event tells that."""
    pods = await deps.cluster.pods(context.key)
    found, begun = _by_service(context.flow, find_problems(pods)), set(map(migrating, pods))
    for job in (one for one in context.wanted if one.kind is JOB):
        service = job["metadata"]["labels"][SERVICE_LABEL]
        health = observation.migrations[service]
        lacks_pod = health.state is State.PENDING and health.reason != NOT_APPLIED and service not in begun
        if lacks_pod and (words := await deps.cluster.creation_refused(context.key, job["metadata"]["name"])):
            found[migration_of(service)] = PodProblem("FailedCreate", words)
    return found


def _wake(rivals: Iterable[FlowKey], deps: Dependencies) -> None:
    """Give a turn to those who waited for what is free now."""
    for rival in rivals:
        deps.wake(rival)


def _by_service(flow: OrderFlow, found: dict[str, PodProblem]) -> dict[str, PodProblem]:
    """Return problems by service that were found by process: what is wrong with the pods of one is so for all of it."""
    shared = [process for process in processes(flow) if process.is_shared]
    return found | {one.name: found[p.name] for p in shared if p.name in found for one in p.services}


async def _forget(key: FlowKey, deps: Dependencies) -> Outcome:
    """Forget a flow that is gone; what waited for its topics and names gets its turn.

    Kubernetes removes what the flow owned, unless the CRD goes too: its garbage collector looks owners up, and finds
    none of that kind. Topics stay then, as Retain would have it.
    """
    _wake(deps.ownership.drop(key), deps)
    deps.credentials.forget(key)
    if await deps.cluster.defined():
        return Outcome.GONE
    left, _ = await prune(key, set(), {KAFKA_TOPIC}, deps.cluster, deps.credentials.remove)
    return Outcome.PENDING if left else Outcome.GONE


async def _elsewhere(
    key: FlowKey, before: FlowStatus, validation: Validation, flow: OrderFlow, deps: Dependencies
) -> Validation | None:
    """Return why a sound flow cannot be at its Kafka, if it cannot: no edit moves it away from what it has at one."""
    try:
        await deps.provisioning.check_place(key, flow, before)
    except FlowError as problem:
        ERRORS.labels(problem.reason).inc()
        finding = Finding("spec.kafka.bootstrapServers", problem.message)
        return replace(validation, reason=problem.reason, findings=(finding,))
    return None


async def _refuse(key: FlowKey, raw: Object, before: FlowStatus, validation: Validation, deps: Dependencies) -> None:
    """Say why a flow cannot be; what runs of it goes on. One that wants another's topics waits for them."""
    if flow := validation.claimant:
        _wake(deps.ownership.put(key, flow, made_at(raw), before), deps)
    after = refused(validation, raw["metadata"].get("generation", 0), before, deps.now())
    await _write_status(key, raw, before, after, deps)


async def _credentials(
    key: FlowKey, flow: OrderFlow, deps: Dependencies, *, write: bool
) -> tuple[Admin | None, Proofs, list[FlowError]]:
    """Return who the database's admin is, and what services prove themselves with; what needs them waits for both.

    Secrets that will not do are looked at again the next time.
    """
    try:
        await deps.credentials.check_named(key, flow)
        admin = await deps.credentials.admin(key, flow)
        proofs = await deps.credentials.ensure(key, flow, admin, deps.cluster.objects(key), write=write)
        return admin, proofs, []
    except FlowError as problem:
        deps.credentials.forget(key)
        return None, Proofs(), [problem]


async def _write_status(key: FlowKey, raw: Object, before: FlowStatus, after: FlowStatus, deps: Dependencies) -> None:
    """Write the status if it is another than before, and tell people what they should see."""
    if after != before:
        said, status = (one.model_dump(mode="json", exclude_none=True) for one in (before, after))
        gone = dict.fromkeys(said.keys() - status.keys())  # a merge leaves what it does not name
        await deps.cluster.write_status(key, raw["metadata"]["uid"], status | gone)
        ready = after.condition(READY)
        about = {"flow": str(key), "generation": raw["metadata"].get("generation")}
        logger.info("%s: %s", key, f"{ready.reason}: {ready.message}" if ready else "", extra=about)
        for event in condition_events(raw, before, after, deps.now()):
            await deps.cluster.post_event(event)
