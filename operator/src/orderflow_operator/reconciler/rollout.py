"""How far the pods have followed an edit: nothing is taken away that some of them still need.

An edit widens before it narrows. What the new version needs is made at once; what only the version before needed (a
right, an open port, a lag that is looked at, a topic, a file) goes when the new pods are ready and the old ones have
ended. What that is, is read from what is there, never remembered: an older edit may not have come far either.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from orderflow_model.placement import processes
from orderflow_operator.kubernetes.cache import Objects
from orderflow_operator.kubernetes.health import State
from orderflow_operator.kubernetes.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    KAFKA_TOPIC,
    KAFKA_USER,
    NETWORK_POLICY,
    SCALED_OBJECT,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
    ObjectKey,
)
from orderflow_operator.kubernetes.labels import SERVICE_LABEL, Object
from orderflow_operator.kubernetes.objects import ObjectClient
from orderflow_operator.kubernetes.wanted_object import WantedObject
from orderflow_operator.reconciler.context import ReconcileContext
from orderflow_operator.reconciler.observe import is_applied, observed_health
from orderflow_operator.resources import deployment

_ALLOWING: Mapping[Kind, tuple[tuple[str, ...], ...]] = {
    KAFKA_USER: (("authorization", "acls"),),
    NETWORK_POLICY: (("ingress",), ("egress",)),
    SCALED_OBJECT: (("triggers",),),
}
"""Where in the spec of a kind lists stand of which each entry allows something by itself."""

_GIVEN = frozenset({CONFIG_MAP, SERVICE, SERVICE_ACCOUNT, KAFKA_USER})
"""Kinds of what the pods of a service are given, or were by an older operator."""


@dataclass(frozen=True)
class Rollout:
    """`waiting`: processes whose pods are not all ready in the version wanted, and services whose requests go to
    others. `ending`: those of which pods are ending, and those that have pods though the flow no longer has them. With
    a process go all services that its pods have.
    """

    waiting: frozenset[str] = frozenset()
    ending: frozenset[str] = frozenset()

    @property
    def under_way(self) -> frozenset[str]:
        """Processes and services of which something older than wanted may run."""
        return self.waiting | self.ending


async def observe_rollout(context: ReconcileContext, cluster: ObjectClient) -> Rollout:
    """Look at the pods; what a Deployment counts leaves out those that are ending."""
    waiting, running = _waiting(context, cluster.objects(context.key)), processes(context.flow)
    staying, ending = {process.name for process in running}, set[str]()
    waiting |= {service.name for process in running if process.name in waiting for service in process.services}
    for pod in await cluster.pods(context.key):
        named = _service(pod)
        has = {named, *deployment.services_in(pod)} if named else set()
        if "deletionTimestamp" in pod["metadata"] or named not in staying:
            ending |= has
        elif named in waiting:
            waiting |= has
    return Rollout(frozenset(waiting), frozenset(ending))


def _waiting(context: ReconcileContext, objects: Objects) -> set[str]:
    """Return the processes whose pods are not ready as wanted, and the services whose requests go to others yet."""
    pods = (one for one in context.wanted if one.kind is DEPLOYMENT)
    ways = (one for one in context.wanted if one.kind is SERVICE and one.key in objects)
    late = [one for one in pods if observed_health(one, objects).state is not State.READY]
    return {_service(one) or "" for one in [*late, *(one for one in ways if not is_applied(one, objects))]}


def is_in_question(context: ReconcileContext, objects: Objects, outlive: Collection[Kind]) -> bool:
    """Return whether anything is to be narrowed or taken away, for which the pods have to be looked at."""
    return bool(_narrowed(context.wanted, objects) or _stale(context, objects, outlive))


async def widened(context: ReconcileContext, cluster: ObjectClient, rollout: Rollout) -> list[WantedObject]:
    """Return what is wanted, with what the live objects allow besides wherever older pods may need it."""
    kept = [
        one
        for one in _narrowed(context.wanted, cluster.objects(context.key))
        if rollout.under_way and _service(one) in {None, *rollout.under_way}
    ]
    return [await _with_live(context, cluster, one) if one in kept else one for one in context.wanted]


def needed(context: ReconcileContext, objects: Objects, outlive: Collection[Kind], rollout: Rollout) -> set[ObjectKey]:
    """Return what the flow no longer wants and has to stay for now.

    A service stays until all that comes in its place is ready; what pods are given, until they have ended.
    """
    stale = _stale(context, objects, outlive)
    leaving = {_stem(one) for one in stale if one.kind is DEPLOYMENT}
    under_way = {deployment.name(context.flow, service) for service in rollout.under_way}

    def stays(one: ObjectKey) -> bool:
        if rollout.waiting and _stem(one) in leaving:
            return True
        return bool(under_way) and (one.kind is KAFKA_TOPIC or (one.kind in _GIVEN and _stem(one) in under_way))

    return set(filter(stays, stale))


def _stale(context: ReconcileContext, objects: Objects, outlive: Collection[Kind]) -> set[ObjectKey]:
    wanted = {one.key for one in context.wanted}
    return {one for one in objects if one not in wanted and one.kind not in outlive}


def _stem(one: ObjectKey) -> str:
    """Return the name that all objects of a service share, without what some have behind it."""
    return one.name.partition(".")[0]


def _narrowed(wanted: list[WantedObject], objects: Objects) -> list[WantedObject]:
    """Return the objects that are there otherwise than wanted and may allow more than that."""
    there = (one for one in wanted if one.kind in _ALLOWING and one.key in objects)
    return [one for one in there if not is_applied(one, objects)]


async def _with_live(context: ReconcileContext, cluster: ObjectClient, wanted: WantedObject) -> WantedObject:
    live = await cluster.current(context.key, wanted.key)
    made = wanted
    for path in _ALLOWING[wanted.kind] if live else ():
        made = WantedObject(made | {"spec": _joined(made["spec"], (live or {}).get("spec", {}), path)})
    return made


def _joined(wanted: Object, live: Any, path: tuple[str, ...]) -> Object:
    """Return a copy of a spec whose list at a path has the live one's entries too."""
    step, *rest = path
    below = live.get(step) if isinstance(live, dict) else None
    if rest:
        return wanted | {step: _joined(wanted[step], below, tuple(rest))}
    return wanted | {step: [*wanted[step], *(one for one in below or () if one not in wanted[step])]}


def _service(item: Object) -> str | None:
    name: str | None = (item["metadata"].get("labels") or {}).get(SERVICE_LABEL)
    return name
