"""The kinds of objects the operator makes: all that is known of each, and how an object is named by its kind.

Where the API server has them, in which order they may go, which condition speaks of them, what their status says.
Order matters when they go: first what starts pods, then pods, then what pods need, identities and topics last, so that
nothing publishes to a topic that is gone.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from orderflow_model.conditions import IDENTITIES_READY, SERVICES_READY, TOPICS_READY
from orderflow_model.flow import GROUP, KIND, PLURAL, VERSION
from orderflow_operator.kubernetes import health
from orderflow_operator.kubernetes.health import Health, Reader


@dataclass(frozen=True, eq=False)  # each is there once: told apart by identity, which costs a key of the cache nothing
class Kind:
    """`stage` orders removal. An `optional` kind's API may be missing. `condition` speaks of its objects in the status.

    `reader` reads their own status; objects of a kind without one are always well. `lack` is for kinds without which a
    flow still works, and says what it lacks then.
    """

    api_version: str
    name: str
    plural: str
    stage: int = 0
    optional: bool = False
    condition: str = SERVICES_READY
    reader: Reader | None = None
    lack: str = ""

    @property
    def type_meta(self) -> dict[str, Any]:
        """What each object of the kind begins with."""
        return {"apiVersion": self.api_version, "kind": self.name}

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """Return the path of an object, of the list in a namespace, or of the list in all."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        within = f"/namespaces/{namespace}" if namespace else ""
        return "/".join(filter(None, (f"{root}{within}/{self.plural}", name, subresource)))

    def health(self, generation: int, spec: msgspec.Raw, status: msgspec.Raw) -> Health:
        """Return how an object of the kind fares."""
        return health.read(self.reader, generation, spec, status) if self.reader else health.READY


_CORE, _KEDA, _STRIMZI = "v1", "keda.sh/v1alpha1", "kafka.strimzi.io/v1"
_PROMETHEUS = "monitoring.coreos.com/v1"

ORDER_FLOW = Kind(f"{GROUP}/{VERSION}", KIND, PLURAL)
CRD = Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions")
SECRET = Kind(_CORE, "Secret", "secrets", condition=IDENTITIES_READY)
POD = Kind(_CORE, "Pod", "pods")
EVENT = Kind(_CORE, "Event", "events")

SCALED_OBJECT = Kind(
    _KEDA,
    "ScaledObject",
    "scaledobjects",
    optional=True,
    reader=health.of_scaled_object,
    lack="the number of pods stays as it is; KEDA's log says more",
)
POD_MONITOR = Kind(_PROMETHEUS, "PodMonitor", "podmonitors", optional=True)
PROMETHEUS_RULE = Kind(_PROMETHEUS, "PrometheusRule", "prometheusrules", optional=True)
HORIZONTAL_POD_AUTOSCALER = Kind(
    "autoscaling/v2",
    "HorizontalPodAutoscaler",
    "horizontalpodautoscalers",
    reader=health.of_autoscaler,
    lack="the number of pods stays as it is; its metrics come from a metrics-server",
)
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments", 1, reader=health.of_deployment)
JOB = Kind("batch/v1", "Job", "jobs", 1, reader=health.of_job)
SERVICE = Kind(_CORE, "Service", "services", 2)
CONFIG_MAP = Kind(_CORE, "ConfigMap", "configmaps", 2)
SERVICE_ACCOUNT = Kind(_CORE, "ServiceAccount", "serviceaccounts", 2)
POD_DISRUPTION_BUDGET = Kind(
    "policy/v1",
    "PodDisruptionBudget",
    "poddisruptionbudgets",
    2,
    reader=health.of_budget,
    lack="pods are not guarded while nodes are drained",
)
NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", 2)
TRIGGER_AUTHENTICATION = Kind(
    _KEDA, "TriggerAuthentication", "triggerauthentications", 2, optional=True, condition=IDENTITIES_READY
)
KAFKA_USER = Kind(
    _STRIMZI, "KafkaUser", "kafkausers", 3, optional=True, condition=IDENTITIES_READY, reader=health.of_strimzi
)
KAFKA_TOPIC = Kind(
    _STRIMZI, "KafkaTopic", "kafkatopics", 4, optional=True, condition=TOPICS_READY, reader=health.of_strimzi
)

KINDS = (
    SCALED_OBJECT,
    POD_MONITOR,
    PROMETHEUS_RULE,
    HORIZONTAL_POD_AUTOSCALER,
    DEPLOYMENT,
    JOB,
    SERVICE,
    CONFIG_MAP,
    SERVICE_ACCOUNT,
    POD_DISRUPTION_BUDGET,
    NETWORK_POLICY,
    TRIGGER_AUTHENTICATION,
    KAFKA_USER,
    KAFKA_TOPIC,
)
"""What is listed and watched."""

_BY_NAME = {kind.name: kind for kind in KINDS}


def kind_of(item: dict[str, Any]) -> Kind:
    """Return the kind of an object that a flow wants."""
    return _BY_NAME[item["kind"]]


class ObjectKey(msgspec.Struct, frozen=True, gc=False):
    """Which object of a flow: its kind and name. Thousands are kept, which a garbage collector need not look at."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.name} {self.name}"

    @classmethod
    def of(cls, item: dict[str, Any]) -> "ObjectKey":
        """Return the key of an object that a flow wants."""
        return cls(kind_of(item), item["metadata"]["name"])

    def path(self, namespace: str) -> str:
        """Return the path of the object."""
        return self.kind.path(namespace, self.name)
