"""The kinds of objects the operator makes, where the API server has them, and in which order they may go.

Order matters when they go: first what starts pods, then pods, then what pods need, identities and topics last, so
that nothing publishes to a topic that is gone.
"""

from dataclasses import dataclass

from orderflow_model.flow import GROUP, KIND, PLURAL, VERSION


@dataclass(frozen=True)
class Kind:
    """`stage` orders removal. An `optional` kind's API may be missing."""

    api_version: str
    name: str
    plural: str
    stage: int = 0
    optional: bool = False

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """Return the path of an object, of the list in a namespace, or of the list in all."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        within = f"/namespaces/{namespace}" if namespace else ""
        return "/".join(filter(None, (f"{root}{within}/{self.plural}", name, subresource)))


ORDER_FLOW = Kind(f"{GROUP}/{VERSION}", KIND, PLURAL)
CRD = Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions")
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps", 2)
SECRET = Kind("v1", "Secret", "secrets")
POD = Kind("v1", "Pod", "pods")
EVENT = Kind("v1", "Event", "events")
SCALED_OBJECT = Kind("keda.sh/v1alpha1", "ScaledObject", "scaledobjects", 0, optional=True)
POD_MONITOR = Kind("monitoring.coreos.com/v1", "PodMonitor", "podmonitors", 0, optional=True)
PROMETHEUS_RULE = Kind("monitoring.coreos.com/v1", "PrometheusRule", "prometheusrules", 0, optional=True)

KINDS = (
    SCALED_OBJECT,
    POD_MONITOR,
    PROMETHEUS_RULE,
    Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", 0),
    Kind("apps/v1", "Deployment", "deployments", 1),
    Kind("batch/v1", "Job", "jobs", 1),
    Kind("v1", "Service", "services", 2),
    CONFIG_MAP,
    Kind("v1", "ServiceAccount", "serviceaccounts", 2),
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", 2),
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", 2),
    Kind("keda.sh/v1alpha1", "TriggerAuthentication", "triggerauthentications", 2, optional=True),
    Kind("kafka.strimzi.io/v1", "KafkaUser", "kafkausers", 3, optional=True),
    Kind("kafka.strimzi.io/v1", "KafkaTopic", "kafkatopics", 4, optional=True),
)

BY_NAME = {kind.name: kind for kind in KINDS}
