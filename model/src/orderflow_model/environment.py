"""Names of the environment variables a service process starts from, the same in a pod and on a laptop.

The operator and `orderflow run` write them, the runtime reads them. Where services share a process, each has variables
of its own, called after it: `order.ORDERFLOW_CONFIG`. What is not called after a service is everyone's.
"""

from collections.abc import Mapping

PREFIX = "ORDERFLOW_"

CONFIG = "ORDERFLOW_CONFIG"
DATABASE_URL = "ORDERFLOW_DATABASE_URL"
KAFKA_BOOTSTRAP = "ORDERFLOW_KAFKA_BOOTSTRAP"
KAFKA_SECURITY_PROTOCOL = "ORDERFLOW_KAFKA_SECURITY_PROTOCOL"
KAFKA_SASL_MECHANISM = "ORDERFLOW_KAFKA_SASL_MECHANISM"
KAFKA_USERNAME = "ORDERFLOW_KAFKA_USERNAME"
KAFKA_PASSWORD = "ORDERFLOW_KAFKA_PASSWORD"  # noqa: S105 - the variable's name, not a password
KAFKA_CA_FILE = "ORDERFLOW_KAFKA_CA_FILE"
HTTP_HOST = "ORDERFLOW_HTTP_HOST"
HTTP_PORT = "ORDERFLOW_HTTP_PORT"
METRICS_PORT = "ORDERFLOW_METRICS_PORT"
"""Where /metrics is served, apart from the service's own interface; on the HTTP port where it is not set."""
HTTP_KEEP_ALIVE = "ORDERFLOW_HTTP_KEEP_ALIVE"
"""Whole seconds that an idle connection is kept."""
HTTP_DRAIN = "ORDERFLOW_HTTP_DRAIN"
"""Whole seconds that a process which is told to end goes on serving, not ready any more; none where it is not set."""
LOG_LEVEL = "ORDERFLOW_LOG_LEVEL"
LOG_FILE = "ORDERFLOW_LOG_FILE"
"""Where a service's lines of log are appended; standard error where it is not set."""
INSTANCE = "ORDERFLOW_INSTANCE"
"""The pod's name (or `inventory-0` on a laptop): a restarted process with the same name takes over at once."""

MIGRATION = "ORDERFLOW_MIGRATION"
"""Path of the JSON file that says which services a migration container migrates."""
PASSWORDS = "ORDERFLOW_PASSWORDS"
"""Path of the folder with a file per service: the password of its database role."""
REMOVAL = "ORDERFLOW_REMOVAL"
"""What the removal job is to remove, and what not, as JSON."""

PRIVACY_KEY = "ORDERFLOW_PRIVACY_KEY"
"""The flow's secret, by which each person's key is wrapped; of services that read what is personal."""

APP_PORT = "ORDERFLOW_APP_PORT"
"""Where a program that is handed its events listens, on loopback; of its dispatcher."""

LAKE = "ORDERFLOW_LAKE"
"""Where the lake is: a folder, or a URL such as s3://bucket/path, with the store's own variables beside it."""

OTLP_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""OpenTelemetry's own variable, over the resource's endpoint: a laptop is not where the cluster's collector is."""
OTLP_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
OTLP_CERTIFICATE = "OTEL_EXPORTER_OTLP_CERTIFICATE"
OTEL_ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES"
OTEL_NAME = "OTEL_SERVICE_NAME"
OPENTELEMETRY = (OTLP_ENDPOINT, OTLP_HEADERS, OTLP_CERTIFICATE)
"""What a laptop's shell may set for all services of a run."""

CONFIG_PATH_IN_POD = "/etc/orderflow/service.json"
DEFAULT_HTTP_HOST = "127.0.0.1"
DEFAULT_HTTP_PORT = 8080
DEFAULT_HTTP_KEEP_ALIVE = 75
DEFAULT_HTTP_DRAIN = 0


def program_environment(port: int, dispatcher_port: int) -> dict[str, str]:
    """Return what a program that is handed its events is told: where it listens, and where it says its own.

    PORT and K_SINK are Knative's, DAPR_HTTP_PORT is Dapr's.
    """
    sink = f"http://127.0.0.1:{dispatcher_port}/events"
    return {"PORT": str(port), "K_SINK": sink, "APP_PORT": str(port), "DAPR_HTTP_PORT": str(dispatcher_port)}


def own_name(service: str, variable: str) -> str:
    """Return what a service's own variable is called in a process that it shares."""
    return f"{service}.{variable}"


def own_environment(service: str, shared: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of one service of a process that it shares."""
    prefix = own_name(service, "")
    everyones = {name: value for name, value in shared.items() if "." not in name}
    return everyones | {name.removeprefix(prefix): value for name, value in shared.items() if name.startswith(prefix)}
