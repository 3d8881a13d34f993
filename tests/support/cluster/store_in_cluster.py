"""An S3 in the namespace of a flow: moto's, in memory, at `http://store:9000`; its image is of tests/e2e/store."""

from support.cluster.cluster import Json, Namespace

_NAME, _PORT = "store", 9000
_LABELS = {"app": _NAME}
_BUCKET = """
import sys, boto3
keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
store = boto3.client("s3", endpoint_url="http://127.0.0.1:9000", region_name="us-east-1", **keys)
store.create_bucket(Bucket=sys.argv[1])
"""
KEYS_IN: Json = {
    "accessKeyId": {"secretKeyRef": {"name": _NAME, "key": "id"}},
    "secretAccessKey": {"secretKeyRef": {"name": _NAME, "key": "secret"}},
}
"""How a flow names its keys."""


def make_store(namespace: Namespace, bucket: str) -> None:
    """Make it, with an empty bucket."""
    namespace.apply(*(one | {"apiVersion": one.get("apiVersion", "v1")} for one in _objects(namespace.name)))
    namespace.rolled_out(f"deployment/{_NAME}")
    namespace.kubectl("exec", f"deployment/{_NAME}", "--", "python", "-c", _BUCKET, bucket)


def _objects(namespace: str) -> list[Json]:
    usable = {"orderflow.dev/usable-by-flows": "true"}
    named = {"name": _NAME, "namespace": namespace}
    pod = {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container()],
        "automountServiceAccountToken": False,
    }
    template = {"metadata": {"labels": _LABELS}, "spec": pod}
    service = {"selector": _LABELS, "ports": [{"name": "http", "port": _PORT}]}
    return [
        {"kind": "Secret", "metadata": named | {"labels": usable}, "stringData": {"id": "key", "secret": "secret"}},
        {"kind": "Service", "metadata": named, "spec": service},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": named,
            "spec": {"selector": {"matchLabels": _LABELS}, "template": template},
        },
    ]


def _container() -> Json:
    return {
        "name": _NAME,
        "image": "orderflow/store:e2e",
        "ports": [{"containerPort": _PORT}],
        "readinessProbe": {"tcpSocket": {"port": _PORT}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
