"""The writing half of a reconcile: objects, Secrets and Kafka are brought to what the flow wants."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from orderflow_model.flow import DeletionPolicy, OrderFlow
from orderflow_operator.cluster import Cluster
from orderflow_operator.errors import FlowError
from orderflow_operator.health import State
from orderflow_operator.kafka_admin import Provisioned
from orderflow_operator.observation import fares
from orderflow_operator.provisioning import needs_admin
from orderflow_operator.prune import prune
from orderflow_operator.resources import deployment, kafkatopic, migrationjob, networkpolicy
from orderflow_operator.resources.metadata import Object
from orderflow_operator.rights import is_known, permitted
from orderflow_operator.store import Objects, entry
from orderflow_operator.teardown import add_finalizer
from orderflow_operator.turn import Parts, Turn


@dataclass(frozen=True)
class Done:
    """What apply and prune did: what was found at Kafka, what could not be, whether anything was written or removed."""

    provisioned: Provisioned = field(default_factory=Provisioned)
    problems: list[FlowError] = field(default_factory=list)
    applied: bool = False
    pruned: bool = False


async def make_true(turn: Turn, parts: Parts) -> Done:
    """Write what differs and remove what is no longer wanted; what cannot be is among the problems."""
    if needs_admin(turn.flow):
        await add_finalizer(turn.key, turn.raw, parts.cluster)
    provisioned, credentials, (applied, refusals) = await asyncio.gather(
        # a broker that is away holds up nothing else
        parts.provisioning.provision(turn.key, turn.flow, turn.around, turn.before, moved=_moved(turn, parts.cluster)),
        _credentials(turn, parts),
        _apply(turn, parts.cluster),
    )
    keep = {entry(one["kind"], one["metadata"]["name"]) for one in turn.wanted}
    pruned, kept_back = await prune(turn.key, keep, _outlives(turn.flow), parts.cluster, parts.credentials.remove)
    problems = [*provisioned.problems, *credentials, *refusals, *kept_back]
    return Done(provisioned, problems, applied, pruned)


def _moved(turn: Turn, cluster: Cluster) -> bool:
    """Tell whether all pods are of the version that is wanted, and no Deployment is there besides."""
    objects, prefix = cluster.objects(turn.key), entry(deployment.KIND, "")
    wanted = {entry(one["kind"], one["metadata"]["name"]): one for one in turn.wanted if one["kind"] == deployment.KIND}
    there = {name for name in objects if name.startswith(prefix)}
    return there <= wanted.keys() and all(fares(one, objects).state is State.READY for one in wanted.values())


async def _credentials(turn: Turn, parts: Parts) -> list[FlowError]:
    try:
        if turn.admin:
            await parts.credentials.ensure(turn.key, turn.flow, turn.admin)
    except FlowError as problem:
        return [problem]
    return []


async def _apply(turn: Turn, cluster: Cluster) -> tuple[bool, list[FlowError]]:
    """Apply what can be by now; tell whether anything was written, and what was refused.

    Topics come first: rights are given on those alone that turn out to be the flow's.
    """
    topics = [one for one in turn.wanted if one["kind"] == kafkatopic.KIND]
    applied, refusals = await _apply_all(turn, cluster, topics)
    objects = cluster.objects(turn.key)
    held = _held(turn, objects) | {kafkatopic.KIND}
    rest = [one for one in permitted(turn.wanted, objects) if one["kind"] not in held and is_known(one, objects)]
    more, others = await _apply_all(turn, cluster, rest)
    return applied or more, [*refusals, *others]


async def _apply_all(turn: Turn, cluster: Cluster, wanted: Iterable[Object]) -> tuple[bool, list[FlowError]]:
    applying = (cluster.apply(turn.key, turn.uid, one) for one in wanted)
    results = await asyncio.gather(*applying, return_exceptions=True)
    failures = [one for one in results if isinstance(one, BaseException) and not isinstance(one, FlowError)]
    if failures:
        raise failures[0]
    return any(one is True for one in results), [one for one in results if isinstance(one, FlowError)]


def _held(turn: Turn, objects: Objects) -> frozenset[str]:
    """Return the kinds that wait: pods for their migration, and that for the database to be known."""
    if turn.admin is None:
        return frozenset({migrationjob.KIND, deployment.KIND, networkpolicy.KIND})
    jobs = (one for one in turn.wanted if one["kind"] == migrationjob.KIND)
    migrated = all(fares(job, objects).state is State.READY for job in jobs)
    return frozenset() if migrated else frozenset({deployment.KIND})


def _outlives(flow: OrderFlow) -> frozenset[str]:
    """Return the kinds that stay though the flow no longer wants them."""
    return frozenset({kafkatopic.KIND} if flow.spec.deletion_policy is DeletionPolicy.RETAIN else ())
