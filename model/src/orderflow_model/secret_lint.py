"""Lint of the Secrets that services name: each service proves itself as itself, never as another or as the operator.

Pure; a part of `lint`. Secrets that the platform did not make are anybody's to name.
"""

from collections.abc import Iterator

from orderflow_model.findings import Finding, path_of
from orderflow_model.flow import OrderFlow
from orderflow_model.kafka import Provisioner
from orderflow_model.names import (
    autoscaler_user_name,
    database_secret_name,
    is_platform_secret,
    kafka_secret_name,
    object_name,
)
from orderflow_model.references import SecretKeyRef
from orderflow_model.services import Service


def lint_secrets(flow: OrderFlow) -> Iterator[Finding]:
    """Yield each Secret that a service must not name, with why."""
    for index, service in enumerate(flow.spec.services):
        for position, reference in secret_references(service):
            if why := _why_not(flow, service, reference):
                yield Finding(place_of_secret(index, position), why)


def secret_references(service: Service) -> Iterator[tuple[int, SecretKeyRef]]:
    """Yield the Secrets that a service's variables name, with each variable's position."""
    for position, variable in enumerate(service.env):
        if variable.value_from and variable.value_from.secret_key_ref:
            yield position, variable.value_from.secret_key_ref


def place_of_secret(service: int, variable: int) -> str:
    """Return where a variable's Secret stands in the resource."""
    return path_of(("spec", "services", service, "env", variable, "valueFrom", "secretKeyRef"))


def _why_not(flow: OrderFlow, service: Service, reference: SecretKeyRef) -> str:
    name, authentication = reference.name, flow.spec.kafka.authentication
    if reference == flow.spec.database.secret_key_ref:
        return "the database's admin secret is the migration job's alone; a service has a role of its own"
    if authentication and reference == authentication.secret_key_ref:
        return "with this Secret the operator rules over Kafka; a service has a user of its own"
    if name in _secrets_of(flow, service):
        return ""
    for other in flow.spec.services:
        if name in _secrets_of(flow, other):
            return f"Secret {name} holds what {other.name} proves itself with; {service.name} has Secrets of its own"
    if is_platform_secret(name) or name == autoscaler_user_name(flow.metadata.name):
        return f"a Secret called {name} is the platform's, made for one service; name a Secret of your own otherwise"
    return ""


def _secrets_of(flow: OrderFlow, service: Service) -> tuple[str, str]:
    strimzi = flow.spec.kafka.provisioner is Provisioner.STRIMZI
    objects = object_name(flow.metadata.name, service.name)
    return database_secret_name(objects), kafka_secret_name(objects, strimzi=strimzi)
