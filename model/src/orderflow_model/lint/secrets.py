"""Lint of the Secrets that a flow names: each service proves itself as itself, never as another or as the operator.

Pure; a part of `flow`. Which other Secrets a flow may name, their owners say by a label (`USABLE_LABEL`): the operator
looks at it before anything of them reaches a pod.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from orderflow_model.findings import Finding, path_of
from orderflow_model.flow import GROUP, OrderFlow
from orderflow_model.names import (
    autoscaler_user_name,
    database_secret_name,
    is_platform_secret,
    kafka_secret_name,
    object_name,
)
from orderflow_model.spec.console import CONSOLE, console_secrets
from orderflow_model.spec.kafka import AuthenticationType, Provisioner
from orderflow_model.spec.lake import LAKE, lake_secrets
from orderflow_model.spec.pod import Pod
from orderflow_model.spec.services import Service

USABLE_LABEL = f"{GROUP}/usable-by-flows"
"""Label, with the value "true", of a Secret that any flow of its namespace may name."""

ADDRESSES_KEY = "bootstrap-servers"
"""Key of a Secret with a login at Kafka: the brokers it may be sent to, as host:port with commas or blanks between."""

LOGIN_PLACE = "spec.kafka.authentication.secretKeyRef"
DATABASE_PLACE = "spec.database.secretKeyRef"
_PRIVACY_PLACE = "spec.privacy.secret.secretKeyRef"


@dataclass(frozen=True)
class NamedSecret:
    """A Secret that a flow names, where it does, and the service whose pods get it, if any."""

    place: str
    name: str
    service: Service | None = None


def lint_secrets(flow: OrderFlow) -> Iterator[Finding]:
    """Yield each Secret that the flow must not name there, with why."""
    for named in named_secrets(flow):
        if why := _why_not(flow, named):
            yield Finding(named.place, why)


def named_secrets(flow: OrderFlow) -> Iterator[NamedSecret]:
    """Yield every Secret that a flow names."""
    spec = flow.spec
    yield NamedSecret(DATABASE_PLACE, spec.database.secret_key_ref.name)
    if spec.kafka.authentication and spec.kafka.authentication.secret_key_ref:
        yield NamedSecret(LOGIN_PLACE, spec.kafka.authentication.secret_key_ref.name)
    if spec.kafka.tls and spec.kafka.tls.certificate_authority:
        place = "spec.kafka.tls.certificateAuthority.secretKeyRef"
        yield NamedSecret(place, spec.kafka.tls.certificate_authority.secret_key_ref.name)
    if spec.privacy is not None:
        yield NamedSecret(_PRIVACY_PLACE, spec.privacy.secret.secret_key_ref.name)
    for index, service in enumerate(spec.services):
        for position, variable in enumerate(service.env):
            if variable.value_from and variable.value_from.secret_key_ref:
                place = path_of(("spec", "services", index, "env", position, "valueFrom", "secretKeyRef"))
                yield NamedSecret(place, variable.value_from.secret_key_ref.name, service)
        yield from _of_pod(service, path_of(("spec", "services", index, "pod")), service.pod)
    for service in flow.services:
        yield from _of_pod(service, "spec.defaults.pod", spec.defaults.pod)
    yield from _of_programs(flow)
    for index, source in enumerate(spec.sources):
        service, queue = flow.service(source.name), path_of(("spec", "sources", index, "queue"))
        yield NamedSecret(f"{queue}.uri.secretKeyRef", source.queue.uri.secret_key_ref.name, service)
        if source.queue.tls is not None:
            authority = source.queue.tls.certificate_authority.secret_key_ref.name
            yield NamedSecret(f"{queue}.tls.certificateAuthority.secretKeyRef", authority, service)


def _of_programs(flow: OrderFlow) -> Iterator[NamedSecret]:
    """Yield those that the lake's program and the console get."""
    lake, console = flow.spec.analytics.lake if flow.spec.analytics else None, flow.spec.console
    for place, reference in (lake_secrets(lake) if lake else {}).items():
        yield NamedSecret(place, reference.name, flow.service(LAKE))
    for place, reference in (console_secrets(console) if console else {}).items():
        yield NamedSecret(place, reference.name, flow.service(CONSOLE))


def _of_pod(service: Service, place: str, pod: Pod) -> Iterator[NamedSecret]:
    """Yield those that a pod mounts or has as variables; one for the registry stays with the kubelet."""
    for index, volume in enumerate(pod.volumes or ()):
        if volume.secret:
            yield NamedSecret(f"{place}.volumes[{index}].secret", volume.secret.secret_name, service)
    for index, source in enumerate(pod.env_from or ()):
        if source.secret_ref:
            yield NamedSecret(f"{place}.envFrom[{index}].secretRef", source.secret_ref.name, service)
    if pod.ca_bundle and pod.ca_bundle.secret_key_ref:
        yield NamedSecret(f"{place}.caBundle.secretKeyRef", pod.ca_bundle.secret_key_ref.name, service)


def foreign_secrets(flow: OrderFlow) -> Iterator[NamedSecret]:
    """Yield those that the platform does not make for the very service that names them."""
    for named in named_secrets(flow):
        if named.service is None or named.name not in _secrets_of(flow, named.service):
            yield named


def _why_not(flow: OrderFlow, named: NamedSecret) -> str:
    name, authentication = named.name, flow.spec.kafka.authentication
    if named.service is not None or named.place == _PRIVACY_PLACE:  # it reaches pods
        if name == flow.spec.database.secret_key_ref.name:
            return "the database's admin secret is the migration job's alone; a service has a role of its own"
        if authentication and authentication.secret_key_ref and name == authentication.secret_key_ref.name:
            return "with this Secret the operator rules over Kafka; a service has a user of its own"
        if named.service is not None and name in _secrets_of(flow, named.service):
            return ""
    for other in flow.services:
        if name in _secrets_of(flow, other):
            whose = f"Secret {name} holds what {other.name} proves itself with"
            if named.service is None:
                return f"{whose}, and would be overwritten with it; rename the Secret or the service"
            return f"{whose}; {named.service.name} has Secrets of its own"
    if is_platform_secret(name) or name == autoscaler_user_name(flow.metadata.name):
        return f"a Secret called {name} is the platform's, made for one service; name a Secret of your own otherwise"
    return ""


def _secrets_of(flow: OrderFlow, service: Service) -> tuple[str, ...]:
    """Return the Secrets that the platform makes for a service; at a Kafka without users it has no password there."""
    kafka, objects = flow.spec.kafka, object_name(flow.metadata.name, service.name)
    strimzi = kafka.provisioner is Provisioner.STRIMZI
    has_user = strimzi or (kafka.authentication and kafka.authentication.type is not AuthenticationType.NONE)
    return (database_secret_name(objects), *((kafka_secret_name(objects, strimzi=strimzi),) if has_user else ()))
