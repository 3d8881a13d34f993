"""Removal of what a flow no longer wants, stage by stage: the next goes when nothing of the one before is left."""

import asyncio
from collections.abc import Awaitable, Callable, Collection

from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.kubernetes.errors import FlowError
from orderflow_operator.kubernetes.kinds import BY_NAME, Kind
from orderflow_operator.kubernetes.objects import ObjectClient
from orderflow_operator.resources import serviceaccount

Retire = Callable[[FlowKey, str], Awaitable[None]]
"""Takes what a service has besides objects, given their name. Raises FlowError when it cannot, NotYetGoneError
when that takes more than this turn."""


class NotYetGoneError(Exception):
    """What a service has is still going."""


async def prune(
    key: FlowKey, keep: Collection[str], outlive: Collection[str], cluster: ObjectClient, retire: Retire
) -> tuple[bool, list[FlowError]]:
    """Remove all but the objects to keep and the kinds that outlive them; tell whether there was anything."""
    stale: dict[int, list[tuple[Kind, str]]] = {}
    for object_key in cluster.objects(key):
        kind, _, name = object_key.partition("/")
        if object_key not in keep and kind not in outlive:
            stale.setdefault(BY_NAME[kind].stage, []).append((BY_NAME[kind], name))
    first = stale[min(stale)] if stale else []
    held = {(kind, name): problem for kind, name in first if (problem := await _retired(kind, key, name, retire))}
    await asyncio.gather(*(cluster.remove(key, kind, name) for kind, name in first if (kind, name) not in held))
    return bool(stale), [problem for problem in held.values() if isinstance(problem, FlowError)]


async def _retired(kind: Kind, key: FlowKey, name: str, retire: Retire) -> FlowError | NotYetGoneError | None:
    """Take what goes with a service's account; the account stays as a reminder until that is done."""
    if kind.name != serviceaccount.KIND:
        return None
    try:
        await retire(key, name)
    except (FlowError, NotYetGoneError) as problem:
        return problem
    return None
