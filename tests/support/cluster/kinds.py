"""Where each kind of object stands in the API, for the tests' client and doubles."""

from typing import Final

_CORE, _APPS = "api/v1", "apis/apps/v1"
_RBAC, _KEDA = "apis/rbac.authorization.k8s.io/v1", "apis/keda.sh/v1alpha1"
_STRIMZI, _PROMETHEUS = "apis/kafka.strimzi.io/v1", "apis/monitoring.coreos.com/v1"
_PLURALS: Final = {
    "Pod": (_CORE, "pods"),
    "Service": (_CORE, "services"),
    "ServiceAccount": (_CORE, "serviceaccounts"),
    "ConfigMap": (_CORE, "configmaps"),
    "Secret": (_CORE, "secrets"),
    "Event": (_CORE, "events"),
    "Deployment": (_APPS, "deployments"),
    "ReplicaSet": (_APPS, "replicasets"),
    "Job": ("apis/batch/v1", "jobs"),
    "PodDisruptionBudget": ("apis/policy/v1", "poddisruptionbudgets"),
    "NetworkPolicy": ("apis/networking.k8s.io/v1", "networkpolicies"),
    "HorizontalPodAutoscaler": ("apis/autoscaling/v2", "horizontalpodautoscalers"),
    "ResourceQuota": (_CORE, "resourcequotas"),
    "RoleBinding": (_RBAC, "rolebindings"),
    "Role": (_RBAC, "roles"),
    "KafkaTopic": (_STRIMZI, "kafkatopics"),
    "KafkaUser": (_STRIMZI, "kafkausers"),
    "ScaledObject": (_KEDA, "scaledobjects"),
    "TriggerAuthentication": (_KEDA, "triggerauthentications"),
    "PodMonitor": (_PROMETHEUS, "podmonitors"),
    "PrometheusRule": (_PROMETHEUS, "prometheusrules"),
    "OrderFlow": ("apis/orderflow.dev/v1alpha1", "orderflows"),
}
_CLUSTER_WIDE: Final = {
    "Namespace": (_CORE, "namespaces"),
    "Node": (_CORE, "nodes"),
    "CustomResourceDefinition": ("apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
    "ClusterRole": (_RBAC, "clusterroles"),
    "ClusterRoleBinding": (_RBAC, "clusterrolebindings"),
    "ValidatingWebhookConfiguration": (
        "apis/admissionregistration.k8s.io/v1",
        "validatingwebhookconfigurations",
    ),
    "MutatingWebhookConfiguration": (
        "apis/admissionregistration.k8s.io/v1",
        "mutatingwebhookconfigurations",
    ),
}
_OF_OTHERS = ("OrderFlow", "Pod", "ReplicaSet", "ResourceQuota", "Event", "Role", "RoleBinding")
MADE = tuple(kind for kind in _PLURALS if kind not in _OF_OTHERS)
"""The kinds that an operator may make for a flow."""


def path_of(kind: str, namespace: str = "", name: str = "") -> str:
    """Give the path of an object, or of all of its kind in the namespace, or (without one) anywhere."""
    if kind in _CLUSTER_WIDE:
        parts = [*_CLUSTER_WIDE[kind], name]
    else:
        prefix, plural = _PLURALS[kind]
        parts = [prefix, f"namespaces/{namespace}" if namespace else "", plural, name]
    return "/" + "/".join(filter(None, parts))
