"""What every pod of a flow has: Pod Security `restricted`, a read-only root, no token, its last words kept."""

from itertools import count

from orderflow_model.placement import ServiceProcess
from orderflow_model.spec.services import Resources, Service
from orderflow_operator.kubernetes.labels import Object

SCRATCH = {"name": "TMPDIR", "value": "/dev/shm"}  # noqa: S108 - the pod's own, empty at each start
"""Where programs put temporary files: memory that runtimes mount. A volume for them would stop `kubectl drain`."""
METRICS_PORT_NAME = "metrics"
_METRICS_PORT = 9464
_DISK = {"requests": "64Mi", "limits": "1Gi"}


def pod_spec(container: Object, volumes: list[Object], beside: list[Object] | None = None) -> Object:
    """Return the spec of a pod with one container, and those `beside` it."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container, *(beside or ())],
        **({"volumes": volumes} if volumes else {}),  # an empty list is nobody's field: it would be written for ever
    }


def hardened(container: Object) -> Object:
    """Return the container without rights, and with the end of its log as its last words."""
    return container | {
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def resources(resources: Resources) -> Object:
    """Return what a pod is sure to get and gets at most; of its node's disk for its log."""
    given = resources.model_dump(mode="json", exclude_none=True)
    return {part: amounts | {"ephemeral-storage": _DISK[part]} for part, amounts in given.items()}


def metrics_port(process: ServiceProcess) -> int:
    """Return the port of a process's metrics, which is none of its services' own interfaces, nor of programs beside."""
    taken = {*process.http_ports.values(), *(one.push.port for one in process.services if one.push is not None)}
    return next(port for port in count(_METRICS_PORT) if port not in taken)


def plain(name: str, value: str) -> Object:
    """Return a variable with a value."""
    return {"name": name, "value": value}


def own_env(service: Service) -> list[Object]:
    """Return the variables of a service's own entry."""
    own = [dict(variable.model_dump(mode="json", exclude_none=True)) for variable in service.env]
    return own if any(one["name"] == SCRATCH["name"] for one in own) else [SCRATCH, *own]


def from_secret(name: str, secret: str, key: str) -> Object:
    """Return a variable whose value stands in a Secret."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
