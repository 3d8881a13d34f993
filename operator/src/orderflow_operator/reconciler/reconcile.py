"""From what an OrderFlow says to what is there: one function, level-based, that reads as its steps.

Every event of every kind ends here, through the queue, and none brings more than the flow's name: each time all is
looked at anew, so that nothing depends on which events came, or in which order. It may stop at any point and begin
again.
"""

import logging
from dataclasses import replace

from orderflow_model.conditions import READY
from orderflow_model.flow import OrderFlow
from orderflow_model.status import FlowStatus
from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.kubernetes.errors import FlowError
from orderflow_operator.kubernetes.health import NOT_APPLIED, State
from orderflow_operator.kubernetes.kinds import POD_MONITOR, PROMETHEUS_RULE, SCALED_OBJECT
from orderflow_operator.kubernetes.labels import SERVICE_LABEL, Object
from orderflow_operator.metrics import ERRORS
from orderflow_operator.reconciler.apply import Done, make_true
from orderflow_operator.reconciler.context import Parts, Turn, is_paused
from orderflow_operator.reconciler.credentials import Admin
from orderflow_operator.reconciler.events import announcements
from orderflow_operator.reconciler.finalize import tear_down
from orderflow_operator.reconciler.network import addresses, pod_ports
from orderflow_operator.reconciler.observe import look
from orderflow_operator.reconciler.outcome import Outcome
from orderflow_operator.reconciler.pod_problems import Trouble, migrating, migration_of, troubles
from orderflow_operator.reconciler.prune import prune
from orderflow_operator.reconciler.rights import permitted
from orderflow_operator.reconciler.status import Seen, refused, status_of
from orderflow_operator.reconciler.validation import INVALID, Verdict, judge, made_at
from orderflow_operator.resources import kafkatopic, migrationjob
from orderflow_operator.resources.build_context import Port, Proofs, Surroundings
from orderflow_operator.resources.desired import desired

logger = logging.getLogger(__name__)


async def reconcile(key: FlowKey, parts: Parts) -> Outcome:
    """Make what is there of a flow what it says; tell how far that came."""
    raw = await parts.cluster.flow(key)
    if raw is None:
        return await _forget(key, parts)

    # 1 parse
    verdict = judge(raw, parts.claims, parts.cluster.objects(key))
    if raw["metadata"].get("deletionTimestamp"):
        return await tear_down(key, raw, verdict.flow, parts)
    if verdict.flow is None or not verdict.valid:
        return await _refuse(key, raw, verdict, parts)
    parts.claims.put(key, verdict.flow, made_at(raw))

    # 2 observe
    paused = is_paused(raw)
    admin, proofs, problems = await _credentials(key, verdict.flow, parts, write=not paused)
    ports = await pod_ports(key.namespace, addresses(verdict.flow, admin.uri if admin else None), parts.cluster)
    around = _surroundings(admin, proofs, ports, parts)

    # 3 desired
    wanted = desired(verdict.flow, around)
    turn = Turn(key, raw, verdict.flow, admin, around, wanted, FlowStatus.of(raw.get("status")))

    # 4 apply, 5 prune
    done = Done() if paused else await make_true(turn, parts)

    # 6 status
    problems += done.problems
    objects = parts.cluster.objects(key)
    seen = look(replace(turn, wanted=permitted(wanted, objects)), verdict, objects, done.provisioned)
    looked = replace(
        seen,
        troubles={} if seen.settled or done.applied else await _troubles(turn, seen, parts),
        problems=tuple(problems),
        paused=paused,
        deadline=parts.rollout_deadline,
    )
    await _write_status(key, raw, turn.before, status_of(looked, turn.before, parts.now()), parts)
    for problem in problems:
        ERRORS.labels(problem.reason).inc()
    if problems:
        return Outcome.TROUBLED
    if seen.settled and not done.pruned:
        return Outcome.SETTLED
    return Outcome.ENDING if done.ending else Outcome.PENDING


def _surroundings(admin: Admin | None, proofs: Proofs, ports: tuple[Port, ...], parts: Parts) -> Surroundings:
    return Surroundings(
        keda=parts.cluster.served(SCALED_OBJECT),
        database=admin.database if admin else None,
        rollout_deadline=parts.rollout_deadline,
        monitoring=parts.monitoring if all(map(parts.cluster.served, (POD_MONITOR, PROMETHEUS_RULE))) else None,
        proofs=proofs,
        network=parts.network,
        ports=ports,
    )


async def _troubles(turn: Turn, seen: Seen, parts: Parts) -> dict[str, Trouble]:
    """Return what is wrong with pods, or keeps the migration job from having one: only an Event tells that."""
    pods = await parts.cluster.pods(turn.key)
    found, begun = troubles(pods), set(map(migrating, pods))
    for job in (one for one in turn.wanted if one["kind"] == migrationjob.KIND):
        service = job["metadata"]["labels"][SERVICE_LABEL]
        health = seen.migrations[service]
        lacks_pod = health.state is State.PENDING and health.reason != NOT_APPLIED and service not in begun
        if lacks_pod and (words := await parts.cluster.creation_refused(turn.key, job["metadata"]["name"])):
            found[migration_of(service)] = Trouble("FailedCreate", words)
    return found


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


async def _credentials(
    key: FlowKey, flow: OrderFlow, parts: Parts, *, write: bool
) -> tuple[Admin | None, Proofs, list[FlowError]]:
    """Return who the database's admin is, and what services prove themselves with; what needs them waits for both."""
    try:
        await parts.credentials.check_named(key, flow)
        admin = await parts.credentials.admin(key, flow)
        proofs = await parts.credentials.ensure(key, flow, admin, parts.cluster.objects(key), write=write)
        return admin, proofs, []
    except FlowError as problem:
        return None, Proofs(), [problem]


async def _write_status(key: FlowKey, raw: Object, before: FlowStatus, after: FlowStatus, parts: Parts) -> None:
    """Write the status if it is another than before, and tell people what they should see."""
    if after != before:
        status = after.model_dump(mode="json", exclude_none=True)
        await parts.cluster.write_status(key, raw["metadata"]["uid"], status)
        ready = after.condition(READY)
        about = {"flow": str(key), "generation": raw["metadata"].get("generation")}
        logger.info("%s: %s", key, f"{ready.reason}: {ready.message}" if ready else "", extra=about)
        for event in announcements(raw, before, after, parts.now()):
            await parts.cluster.post_event(event)
