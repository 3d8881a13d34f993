"""The Deployment of a process: the very environment it has on a laptop, from Secrets and its own template.

What each service is told of itself is an annotation of its pods, which they read as a file. So pods of the version
before, started anew, are told what they were, and no object beside the Deployment has to be kept for them.
`replicas` is left out where an autoscaler says how many pods there are.
"""

from pathlib import PurePosixPath

from orderflow_model import environment
from orderflow_model.flow import OrderFlow
from orderflow_model.names import object_name
from orderflow_model.placement import ServiceProcess, module_of
from orderflow_model.service_part import service_config
from orderflow_model.spec.lake import LAKE, SCRATCH_FOLDER
from orderflow_model.spec.services import Service
from orderflow_operator.kafka.acls import service_user
from orderflow_operator.kafka.connection import PASSWORD_KEY, KafkaConnection
from orderflow_operator.kubernetes.kinds import DEPLOYMENT
from orderflow_operator.kubernetes.labels import (
    SERVICE_LABEL,
    Object,
    digest,
    new_object,
    pod_selector,
    service_labels,
)
from orderflow_operator.resources import pod_template, programcontainer, secret, serviceaccount
from orderflow_operator.resources.autoscaling import Scaler, scaler
from orderflow_operator.resources.build_context import BuildContext, Database
from orderflow_operator.resources.pod import (
    METRICS_PORT_NAME,
    SCRATCH,
    from_secret,
    hardened,
    metrics_port,
    own_env,
    plain,
    pod_spec,
    resources,
)
from orderflow_operator.resources.service import port_name

DATABASE_ANNOTATION = "orderflow.dev/database-hash"
CREDENTIALS_ANNOTATION = "orderflow.dev/credentials-hash"
CONFIG_ANNOTATION = "orderflow.dev/config"

_ENDING_SECONDS = 55
"""What a process has, after it has drained, to finish requests and its batch and to close what it has open."""

_CONFIG_FILE = PurePosixPath(environment.CONFIG_PATH_IN_POD)
_CA_FOLDER = "/etc/orderflow-kafka"
_CA_FILE = "ca.crt"
_DISK = "8Gi"
"""Of its node's disk, which the lake's pod has at most for what it works in."""
# Kubernetes fills in the version, and takes the whole reference as one value.
_POD_NAME = {"apiVersion": "v1", "fieldPath": "metadata.name"}


def name(flow: OrderFlow, process: str) -> str:
    """Return the Deployment's name."""
    return object_name(flow.metadata.name, process)


def build(flow: OrderFlow, process: ServiceProcess, context: BuildContext, connection: KafkaConnection) -> Object:
    """Return the Deployment."""
    labels = service_labels(flow, process.name)
    built = new_object(DEPLOYMENT, name(flow, process.name), flow, labels)
    built["spec"] = {
        "selector": {"matchLabels": pod_selector(flow, process.name)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "progressDeadlineSeconds": context.rollout_deadline,
        "template": _template(flow, process, context, connection),
    }
    if scaler(process, context.keda) is Scaler.FIXED:
        built["spec"]["replicas"] = process.scale.min
    return built


def services_in(pod: Object) -> frozenset[str]:
    """Return the services that a pod of several was told of; nothing of a pod of one, which is labelled as that."""
    prefix = _config_annotation("")
    annotations = pod["metadata"].get("annotations") or {}
    return frozenset(name.removeprefix(prefix) for name in annotations if name.startswith(prefix))


def _template(flow: OrderFlow, process: ServiceProcess, context: BuildContext, connection: KafkaConnection) -> Object:
    container, volumes = _container(flow, process, context, connection), _volumes(flow, process, connection)
    spec = pod_spec(container, volumes, programcontainer.build_all(flow, process))
    spec["serviceAccountName"] = serviceaccount.name(flow, process)
    spec["terminationGracePeriodSeconds"] = process.http_drain + _ENDING_SECONDS
    proofs = [context.proofs.services.get(service.name, "") for service in process.services]
    told = {service.name: service_config(flow, service.name).model_dump_json() for service in process.services}
    template = {
        "metadata": {
            "labels": service_labels(flow, process.name) | pod_selector(flow, process.name) | _member_labels(process),
            "annotations": {
                DATABASE_ANNOTATION: context.database.fingerprint if context.database else "",
                CREDENTIALS_ANNOTATION: digest(" ".join(proofs)) if process.is_shared else proofs[0],
                **{annotation: told[service] for service, (annotation, _) in _config_places(process).items()},
            },
        },
        "spec": spec,
    }
    return pod_template.of_service(template, flow.pod(process.services[0]), pod_selector(flow, process.name))


def _member_labels(process: ServiceProcess) -> dict[str, str]:
    """Return a label for each service of a shared process, for policies and people who look for one of them."""
    return {f"{SERVICE_LABEL}.{one.name}": "true" for one in process.services} if process.is_shared else {}


def _config_places(process: ServiceProcess) -> dict[str, tuple[str, PurePosixPath]]:
    """Return the annotation that holds what each service is told, and the file that it reads it from."""
    if not process.is_shared:
        return {process.name: (CONFIG_ANNOTATION, _CONFIG_FILE)}
    names = [service.name for service in process.services]
    return {name: (_config_annotation(name), _CONFIG_FILE.with_name(f"{name}.json")) for name in names}


def _config_annotation(service: str) -> str:
    return f"{CONFIG_ANNOTATION}.{service}"


def _container(flow: OrderFlow, process: ServiceProcess, context: BuildContext, connection: KafkaConnection) -> Object:
    first = process.services[0]
    port = port_name(process, first.name)
    http = [(port_name(process, service), number) for service, number in process.http_ports.items()]
    container = {
        "name": process.name,
        "image": first.image,
        "env": _env(flow, process, context.database or Database(), connection),
        "ports": [
            {"name": name, "containerPort": number, "protocol": "TCP"}
            for name, number in [*http, (METRICS_PORT_NAME, metrics_port(process))]
        ],
        "resources": resources(process.resources),
        "startupProbe": _probe("/livez", port, period=1, failures=120),
        "livenessProbe": _probe("/livez", port, period=10, failures=3),
        "readinessProbe": _probe("/readyz", port, period=2, failures=8),
        "volumeMounts": _mounts(flow, process, connection),
    }
    if command := _command(process):
        container["command"] = command
    return hardened(container)


def _command(process: ServiceProcess) -> list[str]:
    """Return the command; that of several services names each with its module."""
    first = process.services[0]
    if not process.is_shared:
        return list(first.command)
    named = [f"{service.name}={module_of(service)}" for service in process.services]
    return [first.command[0], "-m", "orderflow_runtime.shared_process", *named]


def _env(flow: OrderFlow, process: ServiceProcess, database: Database, connection: KafkaConnection) -> list[Object]:
    """Return the variables; where services share a process each is called after the one that it is for."""
    by_service = {
        service.name: [*_platform_env(flow, process, service, database, connection), *own_env(service)]
        for service in process.services
    }
    if not process.is_shared:
        return by_service[process.name]
    own = [
        one | {"name": environment.own_name(service, one["name"])}
        for service, env in by_service.items()
        for one in env
        if one != SCRATCH
    ]
    return [SCRATCH, *own]


def _platform_env(
    flow: OrderFlow, process: ServiceProcess, service: Service, database: Database, connection: KafkaConnection
) -> list[Object]:
    _, config = _config_places(process)[service.name]
    return [
        plain(environment.CONFIG, str(config)),
        from_secret(environment.DATABASE_URL, secret.database_name(flow, service.name), secret.url_key(database)),
        plain(environment.HTTP_HOST, "0.0.0.0"),  # noqa: S104 - within the pod's own network
        plain(environment.HTTP_PORT, str(process.http_ports[service.name])),
        plain(environment.METRICS_PORT, str(metrics_port(process))),
        plain(environment.HTTP_KEEP_ALIVE, str(service.http_keep_alive.seconds)),
        plain(environment.HTTP_DRAIN, str(service.http_drain.seconds)),
        {"name": environment.INSTANCE, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
        *_kafka_env(flow, service, connection),
        *_privacy_env(flow, service),
        *([plain(environment.APP_PORT, str(service.push.port))] if service.push is not None else []),
    ]


def _privacy_env(flow: OrderFlow, service: Service) -> list[Object]:
    privacy = flow.spec.privacy
    if privacy is None or service.name not in privacy.readers:
        return []
    secret_key = privacy.secret.secret_key_ref
    return [from_secret(environment.PRIVACY_KEY, secret_key.name, secret_key.key)]


def _kafka_env(flow: OrderFlow, service: Service, connection: KafkaConnection) -> list[Object]:
    """Return how Kafka is reached; nothing for who has no business there."""
    if not service.uses_kafka:
        return []
    user, owner = service_user(flow, service.name), object_name(flow.metadata.name, service.name)
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


def _has_disk(flow: OrderFlow, process: ServiceProcess) -> bool:
    """Return whether a process writes more than memory holds: the lake's, in which dbt works."""
    return process.name == LAKE and serviceaccount.fills_lake(flow)


def _volumes(flow: OrderFlow, process: ServiceProcess, connection: KafkaConnection) -> list[Object]:
    told = [
        {"path": file.name, "fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.annotations['{annotation}']"}}
        for annotation, file in _config_places(process).values()
    ]
    volumes: list[Object] = [{"name": "config", "downwardAPI": {"items": told}}]
    if connection.authority:
        items = [{"key": connection.authority.key, "path": _CA_FILE}]
        volumes.append({"name": "kafka-ca", "secret": {"secretName": connection.authority.secret, "items": items}})
    if _has_disk(flow, process):
        volumes.append({"name": "scratch", "emptyDir": {"sizeLimit": _DISK}})
    return volumes


def _mounts(flow: OrderFlow, process: ServiceProcess, connection: KafkaConnection) -> list[Object]:
    mounts: list[Object] = [{"name": "config", "mountPath": str(_CONFIG_FILE.parent), "readOnly": True}]
    if connection.authority:
        mounts.append({"name": "kafka-ca", "mountPath": _CA_FOLDER, "readOnly": True})
    if _has_disk(flow, process):
        mounts.append({"name": "scratch", "mountPath": SCRATCH_FOLDER})
    return mounts


def _probe(path: str, port: str, period: int, failures: int) -> Object:
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
