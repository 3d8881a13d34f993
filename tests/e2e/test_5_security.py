"""What pods may not do: be more than restricted, say or hear what is not theirs, come from elsewhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orderflow_model.topics import event_topic
from support.cluster import kafka_probe
from support.cluster.cluster import CommandFailed, Json, Namespace, kubectl, until
from support.cluster.shop_in_cluster import IMAGE, ShopInCluster
from support.tools.names import unique_name

PROBE = Path(kafka_probe.__file__).read_text()
REFUSED_ACCESS = "TopicAuthorizationFailedError"
LOGIN = {
    "ORDERFLOW_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "ORDERFLOW_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "ORDERFLOW_KAFKA_USERNAME": "shop-order",
    "ORDERFLOW_KAFKA_PASSWORD": "guessed",
}
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 4)"


@pytest.fixture(scope="module")
def stranger() -> Iterator[Namespace]:
    """Another namespace with two pods, `client` and `server`; no pod there may be talked to."""
    namespace = Namespace(unique_name("stranger-"))
    namespace.create(**{"orderflow.dev/e2e": "true"})
    deny = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"}}
    deny["metadata"]["namespace"] = namespace.name
    namespace.apply(_pod(namespace, "client"), _pod(namespace, "server"), deny | {"spec": {"podSelector": {}}})
    until(lambda: len(namespace.ready("app=stranger")) == 2, "the strangers are there")
    yield namespace
    kubectl("delete", "namespace", namespace.name, "--wait=false")


def test_every_pod_runs_as_restricted(fleet: ShopInCluster, system: Namespace) -> None:
    """Namespaces that admit only restricted pods run the platform, the operator and the flow; only one has a token."""
    for namespace in (fleet.namespace, system):
        with pytest.raises(CommandFailed, match="violates PodSecurity"):
            namespace.kubectl("run", "more", f"--image={IMAGE}", "--privileged", "--dry-run=server")
        for pod in namespace.pods("").values():
            spec, name = pod["spec"], pod["metadata"]["name"]
            assert all(one["securityContext"]["readOnlyRootFilesystem"] for one in spec["containers"]), name
            assert _has_token(spec) == (namespace is system), name


def test_a_service_hears_only_what_it_subscribes_to(fleet: ShopInCluster) -> None:
    """Notification reads orders that were created, and is refused refunds, which are not meant for it."""
    assert _as_service(fleet, "notification", "read", "ORDER_CREATED") == "done"
    assert _as_service(fleet, "notification", "read", "PAYMENT_REFUNDED") == REFUSED_ACCESS


def test_a_service_says_only_what_it_publishes(fleet: ShopInCluster) -> None:
    """Inventory may not tell that an order is completed, though it may say much else."""
    assert _as_service(fleet, "inventory", "write", "ORDER_COMPLETED") == REFUSED_ACCESS


def test_a_stranger_cannot_produce(fleet: ShopInCluster, stranger: Namespace) -> None:
    """Who does not know a password is not let in at the broker, whatever name he gives."""
    login = LOGIN | {"ORDERFLOW_KAFKA_BOOTSTRAP": f"kafka.{fleet.namespace.name}.svc:9092"}
    words = ["env", *(f"{name}={value}" for name, value in login.items()), "python", "-", "write", "shop.order-created"]
    said = stranger.kubectl("exec", "--stdin", "client", "--", *words, stdin=PROBE).strip()
    assert "Authentication" in said or "Connection" in said, said


def test_a_stranger_does_not_reach_the_database(fleet: ShopInCluster, stranger: Namespace) -> None:
    """The platform's own policy lets nobody from another namespace connect to Postgres."""
    if _connects(stranger, stranger.get("pod", "server")["status"]["podIP"], 8080):
        pytest.skip("this cluster's network does not enforce NetworkPolicy: a pod that denies all was reached")
    assert not _connects(stranger, f"postgres.{fleet.namespace.name}.svc", 5432)


def _has_token(spec: Json) -> bool:
    """Whether a pod is given a token of the API server, by itself or by the cluster's default."""
    projected = (volume.get("projected", {}) for volume in spec.get("volumes", ()))
    sources = [source for one in projected for source in one.get("sources", ())]
    return any("serviceAccountToken" in source for source in sources)


def _as_service(fleet: ShopInCluster, service: str, verb: str, event: str) -> str:
    topic = event_topic(fleet.flow, fleet.flow.spec.event(event)).name
    command = ["exec", "--stdin", f"deployment/shop-{service}", "--", "python", "-", verb, topic]
    return fleet.namespace.kubectl(*command, stdin=PROBE).strip()


def _connects(namespace: Namespace, host: str, port: int) -> bool:
    try:
        namespace.kubectl("exec", "client", "--", "python", "-c", CONNECT, host, str(port))
    except CommandFailed:
        return False
    return True


def _pod(namespace: Namespace, name: str) -> Json:
    container = {
        "name": "python",
        "image": IMAGE,
        "command": ["python", "-m", "http.server", "8080", "--directory", "/venv"],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace.name, "labels": {"app": "stranger"}},
        "spec": {
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
        },
    }
