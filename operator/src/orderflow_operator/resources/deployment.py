"""The Deployment of a service: the very environment it has on a laptop, from Secrets and its own template.

What a service is told of itself is an annotation of its pods, which they read as a file. So pods of the version before,
started anew, are told what they were, and no object beside the Deployment has to be kept for them.
`replicas` is left out where an autoscaler says how many pods there are.
"""

from pathlib import PurePosixPath

from orderflow_model import environment
from orderflow_model.flow import OrderFlow
from orderflow_model.names import object_name
from orderflow_model.service_part import service_config
from orderflow_model.spec.services import Service
from orderflow_operator.kafka.acls import service_user
from orderflow_operator.kafka.connection import PASSWORD_KEY, KafkaConnection
from orderflow_operator.kubernetes.kinds import DEPLOYMENT
from orderflow_operator.kubernetes.labels import Object, new_object, pod_selector, service_labels
from orderflow_operator.resources import secret, serviceaccount
from orderflow_operator.resources.autoscaling import Scaler, scaler
from orderflow_operator.resources.build_context import BuildContext, Database
from orderflow_operator.resources.pod import (
    METRICS_PORT_NAME,
    SCRATCH,
    from_secret,
    hardened,
    metrics_port,
    plain,
    pod_spec,
    resources,
)
from orderflow_operator.resources.service import PORT_NAME

DATABASE_ANNOTATION = "orderflow.dev/database-hash"
CREDENTIALS_ANNOTATION = "orderflow.dev/credentials-hash"
CONFIG_ANNOTATION = "orderflow.dev/config"

_ENDING_SECONDS = 55
"""What a process has, after it has drained, to finish requests and its batch and to close what it has open."""

_CONFIG_FILE = PurePosixPath(environment.CONFIG_PATH_IN_POD)
_CA_FOLDER = "/etc/orderflow-kafka"
_CA_FILE = "ca.crt"
# Kubernetes fills in the version, and takes the whole reference as one value.
_POD_NAME = {"apiVersion": "v1", "fieldPath": "metadata.name"}


def name(flow: OrderFlow, service: str) -> str:
    """Return the Deployment's name."""
    return object_name(flow.metadata.name, service)


def build(flow: OrderFlow, service: Service, context: BuildContext, connection: KafkaConnection) -> Object:
    """Return the Deployment."""
    labels = service_labels(flow, service.name)
    built = new_object(DEPLOYMENT, name(flow, service.name), flow, labels)
    built["spec"] = {
        "selector": {"matchLabels": pod_selector(flow, service.name)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "progressDeadlineSeconds": context.rollout_deadline,
        "template": _template(flow, service, context, connection),
    }
    if scaler(service, context.keda) is Scaler.FIXED:
        built["spec"]["replicas"] = service.scale.min
    return built


def _template(flow: OrderFlow, service: Service, context: BuildContext, connection: KafkaConnection) -> Object:
    spec = pod_spec(_container(flow, service, context, connection), _volumes(connection))
    spec["serviceAccountName"] = serviceaccount.name(flow)
    spec["terminationGracePeriodSeconds"] = service.http_drain.seconds + _ENDING_SECONDS
    return {
        "metadata": {
            "labels": service_labels(flow, service.name) | pod_selector(flow, service.name),
            "annotations": {
                DATABASE_ANNOTATION: context.database.fingerprint if context.database else "",
                CREDENTIALS_ANNOTATION: context.proofs.services.get(service.name, ""),
                CONFIG_ANNOTATION: service_config(flow, service.name).model_dump_json(),
            },
        },
        "spec": spec,
    }


def _container(flow: OrderFlow, service: Service, context: BuildContext, connection: KafkaConnection) -> Object:
    container = {
        "name": service.name,
        "image": service.image,
        "env": [*_platform_env(flow, service, context.database or Database(), connection), *_own_env(service)],
        "ports": [
            {"name": PORT_NAME, "containerPort": service.http_port, "protocol": "TCP"},
            {"name": METRICS_PORT_NAME, "containerPort": metrics_port(service), "protocol": "TCP"},
        ],
        "resources": resources(service),
        "startupProbe": _probe("/livez", period=1, failures=120),
        "livenessProbe": _probe("/livez", period=10, failures=3),
        "readinessProbe": _probe("/readyz", period=2, failures=8),
        "volumeMounts": _mounts(connection),
    }
    if service.command:
        container["command"] = list(service.command)
    return hardened(container)


def _platform_env(flow: OrderFlow, service: Service, database: Database, connection: KafkaConnection) -> list[Object]:
    return [
        plain(environment.CONFIG, environment.CONFIG_PATH_IN_POD),
        from_secret(environment.DATABASE_URL, secret.database_name(flow, service.name), secret.url_key(database)),
        plain(environment.HTTP_HOST, "0.0.0.0"),  # noqa: S104 - within the pod's own network
        plain(environment.HTTP_PORT, str(service.http_port)),
        plain(environment.METRICS_PORT, str(metrics_port(service))),
        plain(environment.HTTP_KEEP_ALIVE, str(service.http_keep_alive.seconds)),
        plain(environment.HTTP_DRAIN, str(service.http_drain.seconds)),
        {"name": environment.INSTANCE, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
        *_kafka_env(service_user(flow, service.name), connection, object_name(flow.metadata.name, service.name)),
    ]


def _kafka_env(user: str, connection: KafkaConnection, owner: str) -> list[Object]:
    variables = [
        plain(environment.KAFKA_BOOTSTRAP, connection.bootstrap),
        plain(environment.KAFKA_SECURITY_PROTOCOL, connection.protocol),
    ]
    if connection.mechanism:
        variables.append(plain(environment.KAFKA_SASL_MECHANISM, connection.mechanism))
        variables.append(plain(environment.KAFKA_USERNAME, user))
        variables.append(from_secret(environment.KAFKA_PASSWORD, connection.secret(owner), PASSWORD_KEY))
    if connection.authority:
        variables.append(plain(environment.KAFKA_CA_FILE, f"{_CA_FOLDER}/{_CA_FILE}"))
    return variables


def _own_env(service: Service) -> list[Object]:
    own = [dict(variable.model_dump(mode="json", exclude_none=True)) for variable in service.env]
    return own if any(one["name"] == SCRATCH["name"] for one in own) else [SCRATCH, *own]


def _volumes(connection: KafkaConnection) -> list[Object]:
    told = {
        "path": _CONFIG_FILE.name,
        "fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.annotations['{CONFIG_ANNOTATION}']"},
    }
    volumes: list[Object] = [{"name": "config", "downwardAPI": {"items": [told]}}]
    if connection.authority:
        items = [{"key": connection.authority.key, "path": _CA_FILE}]
        volumes.append({"name": "kafka-ca", "secret": {"secretName": connection.authority.secret, "items": items}})
    return volumes


def _mounts(connection: KafkaConnection) -> list[Object]:
    mounts: list[Object] = [{"name": "config", "mountPath": str(_CONFIG_FILE.parent), "readOnly": True}]
    if connection.authority:
        mounts.append({"name": "kafka-ca", "mountPath": _CA_FOLDER, "readOnly": True})
    return mounts


def _probe(path: str, period: int, failures: int) -> Object:
    return {
        "httpGet": {"path": path, "port": PORT_NAME},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
