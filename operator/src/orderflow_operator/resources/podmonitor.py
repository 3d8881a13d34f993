"""The PodMonitor of a flow: Prometheus scrapes its services' pods, and knows of each series whose it is.

The processes themselves say neither flow nor service: the pods' labels do.
"""

from orderflow_model.flow import OrderFlow
from orderflow_model.placement import processes
from orderflow_operator.kubernetes.kinds import POD_MONITOR
from orderflow_operator.kubernetes.labels import COMPONENT_LABEL, FLOW_LABEL, SERVICE_LABEL, Object, new_object
from orderflow_operator.kubernetes.labels import flow_labels as _labels
from orderflow_operator.monitoring.settings import Monitoring
from orderflow_operator.resources.pod import METRICS_PORT_NAME

PATH = "/metrics"
LABEL = "service"

_POD_LABEL = "__meta_kubernetes_pod_label_"


def name(flow: OrderFlow) -> str:
    """Return the object's name."""
    return flow.metadata.name


def build(flow: OrderFlow, monitoring: Monitoring) -> Object:
    """Return the object."""
    built = new_object(POD_MONITOR, name(flow), flow, _labels(flow, "monitoring") | monitoring.labels)
    # a pod that answers with a redirect would send Prometheus wherever it likes
    endpoint = {"port": METRICS_PORT_NAME, "path": PATH, "followRedirects": False, "relabelings": _relabelings()}
    endpoint |= _told_by_pods(flow)
    built["spec"] = {
        "selector": {"matchLabels": {FLOW_LABEL: flow.metadata.name, COMPONENT_LABEL: "service"}},
        "podMetricsEndpoints": [endpoint],
    }
    return built


def _told_by_pods(flow: OrderFlow) -> Object:
    """Return what gives the series of shared processes the service that these say; of no other pod is that believed.

    Prometheus calls a label `exported_` that a pod says and the relabelings say otherwise.
    """
    shared = [process.name for process in processes(flow) if process.is_shared]
    if not shared:
        return {}
    said = {
        "action": "replace",
        "sourceLabels": ["service", "exported_service"],
        "separator": ";",
        "regex": f"(?:{'|'.join(shared)});(.+)",
        "targetLabel": "service",
        "replacement": "$1",
    }
    return {"metricRelabelings": [said]}


def _relabelings() -> list[Object]:
    """Return the relabelings, written out in full: what the API server would fill in is then as we wrote it."""
    sources = {
        "flow": _POD_LABEL + _as_meta(FLOW_LABEL),
        "service": _POD_LABEL + _as_meta(SERVICE_LABEL),
        "namespace": "__meta_kubernetes_namespace",
        "pod": "__meta_kubernetes_pod_name",
    }
    return [
        {"action": "replace", "sourceLabels": [source], "targetLabel": target} for target, source in sources.items()
    ]


def _as_meta(label: str) -> str:
    """Return a pod's label as Prometheus's discovery names it: what is no letter, digit or underscore becomes one."""
    return "".join(letter if letter.isalnum() else "_" for letter in label)
