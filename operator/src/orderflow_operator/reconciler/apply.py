"""The writing half of a reconcile: objects, Secrets and Kafka are brought to what the flow wants."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from orderflow_model.flow import DeletionPolicy, OrderFlow
from orderflow_operator.kafka.admin import Provisioned
from orderflow_operator.kubernetes.cache import FlowKey, Objects, entry
from orderflow_operator.kubernetes.errors import FlowError
from orderflow_operator.kubernetes.health import State
from orderflow_operator.kubernetes.labels import SERVICE_LABEL, Object
from orderflow_operator.kubernetes.objects import Cluster
from orderflow_operator.reconciler.context import Parts, Turn
from orderflow_operator.reconciler.finalize import add_finalizers
from orderflow_operator.reconciler.kafka_provisioner import needs_admin
from orderflow_operator.reconciler.observe import fares
from orderflow_operator.reconciler.prune import prune
from orderflow_operator.reconciler.removal import at_work, called_off, retire_data
from orderflow_operator.reconciler.rights import is_known, permitted
from orderflow_operator.reconciler.rollout import Rollout, is_in_question, needed, observe, widened
from orderflow_operator.resources import deployment, kafkatopic, migrationjob, networkpolicy


@dataclass(frozen=True)
class Done:
    """What apply and prune did: what was found at Kafka, what could not be, whether anything was written or removed.

    `ending`: all is as wanted but for what pods that are ending still need.
    """

    provisioned: Provisioned = field(default_factory=Provisioned)
    problems: list[FlowError] = field(default_factory=list)
    applied: bool = False
    pruned: bool = False
    ending: bool = False


async def make_true(turn: Turn, parts: Parts) -> Done:
    """Write what differs and remove what is no longer wanted; what cannot be is among the problems."""
    await add_finalizers(turn.key, turn.raw, turn.flow, parts.cluster)
    outlive, objects = _outlives(turn.flow), parts.cluster.objects(turn.key)
    asked = needs_admin(turn.flow) or is_in_question(turn, objects, outlive)
    rollout = await observe(turn, parts.cluster) if asked else Rollout()
    wanted = await widened(turn, parts.cluster, rollout)
    provisioned, (applied, refusals) = await asyncio.gather(
        # a broker that is away holds up nothing else
        parts.provisioning.provision(turn.key, turn.flow, turn.around, turn.before, rollout.under_way),
        _apply(turn, wanted, parts.cluster),
    )
    kept = needed(turn, parts.cluster.objects(turn.key), outlive, rollout)
    keep = {entry(one["kind"], one["metadata"]["name"]) for one in turn.wanted} | kept
    keep |= at_work(turn.flow, parts.cluster.objects(turn.key), keep)
    pruned, kept_back = await prune(turn.key, keep, outlive, parts.cluster, partial(_retire, turn, parts))
    problems = [*provisioned.problems, *refusals, *kept_back]
    ending = bool(rollout.ending) and not rollout.waiting
    return Done(provisioned, problems, applied, pruned or bool(kept or rollout.ending), ending)


async def _retire(turn: Turn, parts: Parts, key: FlowKey, owner: str) -> None:
    """Take what a service had besides objects; raise FlowError, or NotYetGone."""
    await retire_data(key, turn.flow, parts.cluster)
    await parts.credentials.remove(key, owner)


async def _apply(turn: Turn, wanted: list[Object], cluster: Cluster) -> tuple[bool, list[FlowError]]:
    """Apply what can be by now; tell whether anything was written, and what was refused.

    Topics come first: rights are given on those alone that turn out to be the flow's.
    """
    topics = [one for one in wanted if one["kind"] == kafkatopic.KIND]
    applied, refusals = await _apply_all(turn, cluster, topics)
    objects = cluster.objects(turn.key)
    others = (one for one in permitted(wanted, objects) if one["kind"] != kafkatopic.KIND)
    rest = [one for one in others if is_known(one, objects) and not _waits(one, turn, objects)]
    more, problems = await _apply_all(turn, cluster, rest)
    return applied or more, [*refusals, *problems]


async def _apply_all(turn: Turn, cluster: Cluster, wanted: Iterable[Object]) -> tuple[bool, list[FlowError]]:
    applying = (cluster.apply(turn.key, turn.uid, one) for one in wanted)
    results = await asyncio.gather(*applying, return_exceptions=True)
    failures = [one for one in results if isinstance(one, BaseException) and not isinstance(one, FlowError)]
    if failures:
        raise failures[0]
    return any(one is True for one in results), [one for one in results if isinstance(one, FlowError)]


def _waits(wanted: Object, turn: Turn, objects: Objects) -> bool:
    """Tell whether an object is not to be made yet: pods wait for migration and password, that for what is dropped,
    and all of them for the database.
    """
    needs_database = wanted["kind"] in (migrationjob.KIND, deployment.KIND, networkpolicy.KIND)
    if needs_database and (turn.admin is None or called_off(turn.flow, objects)):
        return True
    if wanted["kind"] != deployment.KIND:
        return False
    service = wanted["metadata"]["labels"][SERVICE_LABEL]
    return service in turn.around.proofs.missing or not _is_migrated(service, turn, objects)


def _is_migrated(service: str, turn: Turn, objects: Objects) -> bool:
    jobs = (one for one in turn.wanted if one["kind"] == migrationjob.KIND)
    mine = (job for job in jobs if job["metadata"]["labels"][SERVICE_LABEL] == service)
    return all(fares(job, objects).state is State.READY for job in mine)


def _outlives(flow: OrderFlow) -> frozenset[str]:
    """Return the kinds that stay though the flow no longer wants them."""
    return frozenset({kafkatopic.KIND} if flow.spec.deletion_policy is DeletionPolicy.RETAIN else ())
