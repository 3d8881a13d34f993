"""The writing half of a reconcile: objects, Secrets and Kafka are brought to what the flow wants."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from orderflow_model.flow import DeletionPolicy, OrderFlow
from orderflow_model.placement import processes
from orderflow_model.spec.analytics import SINK
from orderflow_model.spec.lake import LAKE
from orderflow_operator.kafka.admin import Provisioned
from orderflow_operator.kubernetes.cache import FlowKey, Objects
from orderflow_operator.kubernetes.errors import FlowError
from orderflow_operator.kubernetes.health import State
from orderflow_operator.kubernetes.kinds import (
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    JOB,
    KAFKA_TOPIC,
    KAFKA_USER,
    NETWORK_POLICY,
    SCALED_OBJECT,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
    ObjectKey,
)
from orderflow_operator.kubernetes.labels import SERVICE_LABEL
from orderflow_operator.kubernetes.objects import ObjectClient
from orderflow_operator.kubernetes.wanted_object import WantedObject
from orderflow_operator.reconciler.context import Dependencies, ReconcileContext
from orderflow_operator.reconciler.finalize import add_finalizers
from orderflow_operator.reconciler.kafka_provisioner import needs_admin
from orderflow_operator.reconciler.observe import is_applied, observed_health
from orderflow_operator.reconciler.prune import prune
from orderflow_operator.reconciler.removal import at_work, called_off, retire_data
from orderflow_operator.reconciler.rights import attainable, is_answered, is_complete, permitted
from orderflow_operator.reconciler.rollout import Rollout, is_in_question, needed, observe_rollout, widened
from orderflow_operator.resources import deployment
from orderflow_operator.resources.serviceaccount import fills_lake


@dataclass(frozen=True)
class ChangeResult:
    """What apply and prune did: what was found at Kafka, what could not be, whether anything was written or removed.

    `ending`: all is as wanted but for what pods that are ending still need.
    """

    provisioned: Provisioned = field(default_factory=Provisioned)
    problems: list[FlowError] = field(default_factory=list)
    applied: bool = False
    pruned: bool = False
    ending: bool = False


async def apply_changes(context: ReconcileContext, deps: Dependencies) -> ChangeResult:
    """Write what differs and remove what is no longer wanted; what cannot be is among the problems."""
    await add_finalizers(context.key, context.raw, context.flow, deps.cluster)
    outlive, objects = _outlives(context.flow), deps.cluster.objects(context.key)
    roomy = context.build.proofs.roomy
    asked = needs_admin(context.flow) or is_in_question(context, objects, outlive) or bool(roomy)
    rollout = await observe_rollout(context, deps.cluster) if asked else Rollout()
    wanted = await widened(context, deps.cluster, rollout)
    provisioned, (applied, refusals) = await asyncio.gather(
        # a broker that is away holds up nothing else
        deps.provisioning.provision(context.key, context.flow, context.build, context.before, rollout.under_way),
        _apply(context, wanted, deps.cluster),
    )
    kept = needed(context, deps.cluster.objects(context.key), outlive, rollout)
    keep = {*(one.key for one in context.wanted), *kept}
    keep |= at_work(context.flow, deps.cluster.objects(context.key), keep)
    pruned, kept_back = await prune(context.key, keep, outlive, deps.cluster, partial(_retire, context, deps))
    if context.admin and (left := roomy - rollout.under_way):
        await deps.credentials.leave_places(context.key, context.flow, context.admin, left)
    problems = [*provisioned.problems, *refusals, *kept_back]
    ending = bool(rollout.ending) and not rollout.waiting
    return ChangeResult(provisioned, problems, applied, pruned or bool(kept or rollout.ending), ending)


async def _retire(context: ReconcileContext, deps: Dependencies, key: FlowKey, owner: str) -> None:
    """Take what a service had besides objects; raise `FlowError`, or `NotYetGoneError`."""
    await retire_data(key, context.flow, deps.cluster)
    await deps.credentials.remove(key, owner)


async def _apply(
    context: ReconcileContext, wanted: list[WantedObject], cluster: ObjectClient
) -> tuple[bool, list[FlowError]]:
    """Apply what can be by now; tell whether anything was written, and what was refused.

    Topics come first: rights are given on those alone that turn out to be the flow's.
    """
    topics = [one for one in wanted if one.kind is KAFKA_TOPIC]
    applied, refusals = await _apply_all(context, cluster, topics)
    objects = cluster.objects(context.key)
    others = [one for one in permitted(wanted, objects) if one.kind is not KAFKA_TOPIC]
    rest = [one for one in others if one.kind is not KAFKA_USER and not _waits(one, context, objects)]
    users = [await _entitled(one, context, cluster) for one in others if one.kind is KAFKA_USER]
    more, problems = await _apply_all(context, cluster, [*rest, *filter(None, users)])
    return applied or more, [*refusals, *problems]


async def _entitled(user: WantedObject, context: ReconcileContext, cluster: ObjectClient) -> WantedObject | None:
    """Return a KafkaUser with the rights it may have by now; None for a new one while Strimzi has not answered.

    One topic that is refused keeps nobody from the rights on all others.
    """
    objects, named = cluster.objects(context.key), user.key
    if is_complete(user, objects) or is_applied(user, objects):
        return user
    if named not in objects:
        return attainable(user, objects, None) if is_answered(user, objects) else None
    return attainable(user, objects, await cluster.current(context.key, named))


async def _apply_all(
    context: ReconcileContext, cluster: ObjectClient, wanted: Iterable[WantedObject]
) -> tuple[bool, list[FlowError]]:
    objects = cluster.objects(context.key)
    applying = (cluster.apply(context.key, context.uid, one) for one in wanted if not is_applied(one, objects))
    results = await asyncio.gather(*applying, return_exceptions=True)
    failures = [one for one in results if isinstance(one, BaseException) and not isinstance(one, FlowError)]
    if failures:
        raise failures[0]
    return any(one is True for one in results), [one for one in results if isinstance(one, FlowError)]


def _waits(wanted: WantedObject, context: ReconcileContext, objects: Objects) -> bool:
    """Return whether an object is not to be made yet: pods wait for migration and password, that for what is dropped,
    the lake's for the tables on which it gives rights, and all of them for the database. No pod takes up an account,
    and no autoscaler pods, that are somebody else's. A Service that is there leads to other pods when these are ready.
    """
    if wanted.kind in (SCALED_OBJECT, HORIZONTAL_POD_AUTOSCALER):
        return ObjectKey(DEPLOYMENT, wanted["metadata"]["name"]) not in objects
    needs_database = wanted.kind in (JOB, DEPLOYMENT, NETWORK_POLICY)
    if needs_database and (context.admin is None or called_off(context.flow, objects)):
        return True
    if wanted.kind is JOB and wanted["metadata"]["labels"][SERVICE_LABEL] == LAKE and fills_lake(context.flow):
        return not _is_migrated(SINK, context, objects)
    if wanted.kind is SERVICE:
        return wanted.key in objects and not _runs(wanted, context, objects)
    return wanted.kind is DEPLOYMENT and not _can_start(wanted, context, objects)


def _runs(service: WantedObject, context: ReconcileContext, objects: Objects) -> bool:
    """Return whether the process that a Service leads to is ready."""
    process = service["spec"]["selector"][SERVICE_LABEL]
    pods = ObjectKey(DEPLOYMENT, deployment.name(context.flow, process))
    return all(observed_health(one, objects).state is State.READY for one in context.wanted if one.key == pods)


def _can_start(wanted: WantedObject, context: ReconcileContext, objects: Objects) -> bool:
    if ObjectKey(SERVICE_ACCOUNT, wanted["spec"]["template"]["spec"]["serviceAccountName"]) not in objects:
        return False
    named = wanted["metadata"]["labels"][SERVICE_LABEL]
    services = [one.name for process in processes(context.flow) if process.name == named for one in process.services]
    missing = context.build.proofs.missing
    return all(service not in missing and _is_migrated(service, context, objects) for service in services)


def _is_migrated(service: str, context: ReconcileContext, objects: Objects) -> bool:
    jobs = (one for one in context.wanted if one.kind is JOB)
    mine = (job for job in jobs if job["metadata"]["labels"][SERVICE_LABEL] == service)
    return all(observed_health(job, objects).state is State.READY for job in mine)


def _outlives(flow: OrderFlow) -> frozenset[Kind]:
    """Return the kinds that stay though the flow no longer wants them."""
    return frozenset({KAFKA_TOPIC} if flow.spec.deletion_policy is DeletionPolicy.RETAIN else ())
