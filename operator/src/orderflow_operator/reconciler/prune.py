"""Removal of what a flow no longer wants, stage by stage: the next goes when nothing of the one before is left."""

import asyncio
from collections.abc import Awaitable, Callable, Collection

from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.kubernetes.errors import FlowError
from orderflow_operator.kubernetes.kinds import SERVICE, SERVICE_ACCOUNT, Kind, ObjectKey
from orderflow_operator.kubernetes.objects import ObjectClient

_REMINDERS = (SERVICE, SERVICE_ACCOUNT)
"""Kinds of which one object is called as its service and stays until what the service has besides is gone; that an
account is, an older operator has made it.
"""

Retire = Callable[[FlowKey, str], Awaitable[None]]
"""Takes what a service has besides objects, given their name. Raises FlowError when it cannot, NotYetGoneError
when that takes more than this turn."""


class NotYetGoneError(Exception):
    """What a service has is still going."""


async def prune(
    key: FlowKey, keep: Collection[ObjectKey], outlive: Collection[Kind], cluster: ObjectClient, retire: Retire
) -> tuple[bool, list[FlowError]]:
    """Remove all but the objects to keep and the kinds that outlive them; tell whether there was anything."""
    stale = [one for one in cluster.objects(key) if one not in keep and one.kind not in outlive]
    stage = min((one.kind.stage for one in stale), default=0)
    first = [one for one in stale if one.kind.stage == stage]
    leaving = [one for one in first if is_reminder(one, keep)]
    held = {one: problem for one in leaving if (problem := await _retired(key, one, retire))}
    await asyncio.gather(*(cluster.remove(key, one) for one in first if one not in held))
    return bool(stale), [problem for problem in held.values() if isinstance(problem, FlowError)]


def is_reminder(one: ObjectKey, keep: Collection[ObjectKey]) -> bool:
    """Return whether an object that is not kept stands for a service that leaves."""
    return one.kind in _REMINDERS and ObjectKey(SERVICE, one.name) not in keep


async def _retired(key: FlowKey, object_key: ObjectKey, retire: Retire) -> FlowError | NotYetGoneError | None:
    """Take what a service has besides objects."""
    try:
        await retire(key, object_key.name)
    except (FlowError, NotYetGoneError) as problem:
        return problem
    return None
