"""What kopf tells of OrderFlows. Every handler only gives a flow its turn; `reconcile` does the work.

kopf watches the flows, follows the CRD as it comes and goes, and serves the webhook. It writes nothing into them: no
last-handled state, no finalizer. What belongs to a flow is watched by `reflector.py`, in a fraction of the memory.
"""

from typing import Any

import kopf

from orderflow_model.flow import GROUP, PLURAL, VERSION
from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.kubernetes.login import login
from orderflow_operator.reconciler.workqueue import Queue

_QUIET_SECONDS = 25


def register(registry: kopf.OperatorRegistry, queue: Queue) -> None:
    """Have kopf call the queue."""
    told: dict[FlowKey, int] = {}

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def changed(type: str | None, namespace: str | None, name: str, meta: Any, **_: Any) -> None:  # noqa: A002 - kopf's
        """Give a flow its turn, unless only what we write of it ourselves has changed."""
        key, state = FlowKey(namespace or "", name), _state(meta)
        if type == "DELETED":
            told.pop(key, None)
        elif told.get(key) == state:
            return
        else:
            told[key] = state
        queue.add(key)

    @kopf.on.login(registry=registry)
    def come_in(settings: kopf.OperatorSettings, **_: Any) -> kopf.ConnectionInfo:
        """Log in as our own client does."""
        return login(settings)

    @kopf.on.startup(registry=registry)
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        """Have kopf write nothing, and find out soon when a watch has fallen silent."""
        settings.posting.enabled = False
        settings.persistence.diffbase_storage = _NoState()
        settings.watching.server_timeout = _QUIET_SECONDS
        settings.watching.client_timeout = _QUIET_SECONDS + 5
        settings.watching.inactivity_timeout = _QUIET_SECONDS + 5
        settings.watching.connect_timeout = 10
        settings.networking.request_timeout = 20
        settings.networking.error_backoffs = (0.2, 0.5, 1, 2, 5)
        settings.queueing.idle_timeout = 1.0
        settings.queueing.error_delays = (1, 2, 5)


class _NoState(kopf.DiffBaseStorage):
    """What a flow was is nobody's business: kopf would copy every flow at every event, and write it into the flow."""

    def build(self, **_: Any) -> Any:
        """Return nothing to compare."""
        return {}

    def fetch(self, **_: Any) -> Any:
        """Return nothing that was."""
        return None

    def store(self, **_: Any) -> None:
        """Keep nothing."""


def _state(meta: Any) -> int:
    """Return what of a flow's metadata is more than the trace of our own status."""
    annotations = tuple(sorted(meta.get("annotations", {}).items()))
    finalizers = tuple(meta.get("finalizers", ()))
    return hash((meta["uid"], meta.get("generation"), meta.get("deletionTimestamp"), finalizers, annotations))
