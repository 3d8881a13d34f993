"""How far the pods have followed an edit: nothing is taken away that some of them still need.

An edit widens before it narrows. What the new version needs is made at once; what only the version before needed (a
right, an open port, a lag that is looked at, a topic, a file) goes when the new pods are ready and the old ones have
ended. What that is, is read from what is there, never remembered: an older edit may not have come far either.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from orderflow_operator.kubernetes.cache import Objects, entry
from orderflow_operator.kubernetes.health import State
from orderflow_operator.kubernetes.kinds import BY_NAME
from orderflow_operator.kubernetes.labels import SERVICE_LABEL, Object
from orderflow_operator.kubernetes.objects import ObjectClient
from orderflow_operator.reconciler.context import ReconcileContext
from orderflow_operator.reconciler.observe import is_applied, observed_health
from orderflow_operator.resources import (
    configmap,
    deployment,
    kafkatopic,
    kafkauser,
    networkpolicy,
    scaledobject,
    serviceaccount,
)

_ALLOWING: Mapping[str, tuple[tuple[str, ...], ...]] = {
    kafkauser.KIND: (("authorization", "acls"),),
    networkpolicy.KIND: (("ingress",), ("egress",)),
    scaledobject.KIND: (("triggers",),),
}
"""Where in the spec of a kind lists stand of which each entry allows something by itself."""

_GIVEN = frozenset({configmap.KIND, serviceaccount.KIND, kafkauser.KIND})
"""Kinds of what the pods of a service are given."""


@dataclass(frozen=True)
class Rollout:
    """`waiting`: services whose pods are not all ready in the version wanted. `ending`: those of which pods are ending,
    and those that have pods though the flow no longer has them.
    """

    waiting: frozenset[str] = frozenset()
    ending: frozenset[str] = frozenset()

    @property
    def under_way(self) -> frozenset[str]:
        """Services of which something older than wanted may run."""
        return self.waiting | self.ending


async def observe_rollout(context: ReconcileContext, cluster: ObjectClient) -> Rollout:
    """Look at the pods; what a Deployment counts leaves out those that are ending."""
    objects = cluster.objects(context.key)
    wanted = (one for one in context.wanted if one["kind"] == deployment.KIND)
    waiting = {_service(one) or "" for one in wanted if observed_health(one, objects).state is not State.READY}
    staying = {service.name for service in context.flow.spec.services}
    ending = {
        _service(pod)
        for pod in await cluster.pods(context.key)
        if "deletionTimestamp" in pod["metadata"] or _service(pod) not in staying
    }
    return Rollout(frozenset(waiting), frozenset(filter(None, ending)))


def is_in_question(context: ReconcileContext, objects: Objects, outlive: Collection[str]) -> bool:
    """Return whether anything is to be narrowed or taken away, for which the pods have to be looked at."""
    return bool(_narrowed(context.wanted, objects) or _stale(context, objects, outlive))


async def widened(context: ReconcileContext, cluster: ObjectClient, rollout: Rollout) -> list[Object]:
    """Return what is wanted, with what the live objects allow besides wherever older pods may need it."""
    kept = [
        one
        for one in _narrowed(context.wanted, cluster.objects(context.key))
        if rollout.under_way and _service(one) in {None, *rollout.under_way}
    ]
    return [await _with_live(context, cluster, one) if one in kept else one for one in context.wanted]


def needed(context: ReconcileContext, objects: Objects, outlive: Collection[str], rollout: Rollout) -> set[str]:
    """Return what the flow no longer wants and has to stay for now, as keys of the store.

    A service stays until all that comes in its place is ready; what pods are given, until they have ended.
    """
    stale = _stale(context, objects, outlive)
    leaving = {_stem(name) for name in stale if _kind(name) == deployment.KIND}
    under_way = {deployment.name(context.flow, service) for service in rollout.under_way}

    def stays(name: str) -> bool:
        if rollout.waiting and _stem(name) in leaving:
            return True
        return bool(under_way) and (
            _kind(name) == kafkatopic.KIND or (_kind(name) in _GIVEN and _stem(name) in under_way)
        )

    return {name for name in stale if stays(name)}


def _stale(context: ReconcileContext, objects: Objects, outlive: Collection[str]) -> set[str]:
    wanted = {entry(one["kind"], one["metadata"]["name"]) for one in context.wanted}
    return {name for name in objects if name not in wanted and _kind(name) not in outlive}


def _kind(name: str) -> str:
    return name.partition("/")[0]


def _stem(name: str) -> str:
    """Return the name that all objects of a service share, without what some have behind it."""
    return name.partition("/")[2].partition(".")[0]


def _narrowed(wanted: list[Object], objects: Objects) -> list[Object]:
    """Return the objects that are there otherwise than wanted and may allow more than that."""
    there = (
        one for one in wanted if one["kind"] in _ALLOWING and entry(one["kind"], one["metadata"]["name"]) in objects
    )
    return [one for one in there if not is_applied(one, objects)]


async def _with_live(context: ReconcileContext, cluster: ObjectClient, wanted: Object) -> Object:
    live = await cluster.current(context.key, BY_NAME[wanted["kind"]], wanted["metadata"]["name"])
    made = wanted
    for path in _ALLOWING[wanted["kind"]] if live else ():
        made = made | {"spec": _joined(made["spec"], (live or {}).get("spec", {}), path)}
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
