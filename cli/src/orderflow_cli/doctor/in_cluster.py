"""Whether a cluster has what a flow needs, and the person the rights to use it."""

from collections.abc import Iterator
from functools import partial

from orderflow_cli.cluster import Cluster
from orderflow_cli.doctor.check import Check, State, look
from orderflow_cli.errors import LaptopError, UnknownNameError
from orderflow_model.flow import GROUP, PLURAL, VERSION

_OPERATOR = (
    "Install the operator: "
    "helm install orderflow-operator charts/orderflow-operator -n orderflow-system --create-namespace"
)
_APIS = (
    ("OrderFlow CRD", f"{GROUP}/{VERSION}", _OPERATOR, State.FAILED),
    ("Strimzi", "kafka.strimzi.io/v1", "Install Strimzi 1.2, or write provisioner: Admin", State.WARNING),
    ("KEDA", "keda.sh/v1alpha1", "Install KEDA to scale by lag; without it processors decide", State.WARNING),
)
_RIGHTS = (
    ("create", GROUP, PLURAL),
    ("patch", GROUP, PLURAL),
    ("get", "", "pods/log"),
    ("create", "", "pods/portforward"),
)


class MissingError(LaptopError):
    """The cluster lacks something, or the person a right."""


def check_cluster(namespace: str | None) -> Iterator[Check]:
    """Yield how the cluster of the kubeconfig is, as far as it answers."""
    try:
        cluster = Cluster()
        version = cluster.get("/version").get("gitVersion")
    except LaptopError as error:
        yield Check("API server", State.FAILED, error.problem, error.remedy)
        return
    yield Check("API server", State.OK, f"{cluster.host}, Kubernetes {version}")
    for name, api, remedy, bad in _APIS:
        yield look(name, partial(_served, cluster, api, remedy), bad)
    for right in _RIGHTS:
        ask = partial(_may, cluster, right, namespace or cluster.namespace)
        yield look(f"{right[0]} {right[2]}", ask, State.WARNING)


def _served(cluster: Cluster, api: str, remedy: str) -> str:
    try:
        cluster.get(f"/apis/{api}")
    except UnknownNameError:
        raise MissingError(f"{api} is not served", remedy) from None
    return f"{api} is served"


def _may(cluster: Cluster, right: tuple[str, str, str], namespace: str) -> str:
    verb, group, resource = right
    if not cluster.may(verb, group, resource, namespace):
        raise MissingError(f"you may not {verb} {resource} in {namespace}", "Ask an administrator for that right")
    return f"you may, in {namespace}"
