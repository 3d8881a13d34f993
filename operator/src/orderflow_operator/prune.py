"""Removal of what a flow no longer wants, stage by stage: the next goes when nothing of the one before is left."""

import asyncio
from collections.abc import Collection

from orderflow_operator.cluster import Cluster
from orderflow_operator.credentials import Credentials
from orderflow_operator.kinds import BY_NAME, Kind
from orderflow_operator.resources import serviceaccount
from orderflow_operator.store import FlowKey


async def prune(
    key: FlowKey, keep: Collection[str], outlive: Collection[str], cluster: Cluster, credentials: Credentials
) -> bool:
    """Remove all but the objects to keep and the kinds that outlive them; tell whether there was anything."""
    stale: dict[int, list[tuple[Kind, str]]] = {}
    for object_key in cluster.objects(key):
        kind, _, name = object_key.partition("/")
        if object_key not in keep and kind not in outlive:
            stale.setdefault(BY_NAME[kind].stage, []).append((BY_NAME[kind], name))
    first = stale[min(stale)] if stale else []
    for gone, owner in first:
        if gone.name == serviceaccount.KIND:  # Secrets are never listed; their service's account tells of them
            await credentials.remove(key, owner)
    await asyncio.gather(*(cluster.remove(key, gone, name) for gone, name in first))
    return bool(stale)
