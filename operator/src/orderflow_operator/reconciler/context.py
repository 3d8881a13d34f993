"""One reconcile's parts and what it knows; `reconcile` fills it, `apply` and `observe` work on it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from orderflow_model.flow import OrderFlow
from orderflow_model.status import FlowStatus
from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.kubernetes.labels import Object
from orderflow_operator.kubernetes.objects import ObjectClient
from orderflow_operator.kubernetes.wanted_object import WantedObject
from orderflow_operator.monitoring.settings import Monitoring
from orderflow_operator.reconciler.credentials import Admin, Credentials
from orderflow_operator.reconciler.kafka_provisioner import Provisioning
from orderflow_operator.reconciler.ownership import OwnershipIndex
from orderflow_operator.reconciler.recent import Recent
from orderflow_operator.reconciler.status import PAUSED_ANNOTATION
from orderflow_operator.reconciler.validation import Reading
from orderflow_operator.resources.build_context import BuildContext, Network


@dataclass(frozen=True)
class Dependencies:
    """What a reconcile works with. `started`: since when it is there to do so. `rollout_deadline` in seconds."""

    cluster: ObjectClient
    ownership: OwnershipIndex
    credentials: Credentials
    provisioning: Provisioning
    wake: Callable[[FlowKey], None]
    now: Callable[[], datetime]
    started: datetime
    rollout_deadline: int
    monitoring: Monitoring
    network: Network
    readings: Recent[Reading] = field(default_factory=Recent)
    wanted: Recent[list[WantedObject]] = field(default_factory=Recent)


@dataclass(frozen=True)
class ReconcileContext:
    """What one reconcile knows once it has looked: the flow, what is built by, what it wants, what was said."""

    key: FlowKey
    raw: Object
    flow: OrderFlow
    admin: Admin | None
    build: BuildContext
    wanted: list[WantedObject]
    before: FlowStatus

    @property
    def uid(self) -> str:
        """Which flow of that name it is."""
        return str(self.raw["metadata"]["uid"])


def is_paused(raw: Object) -> bool:
    """Return whether a person asked to leave the flow alone."""
    return bool((raw["metadata"].get("annotations") or {}).get(PAUSED_ANNOTATION) == "true")
