"""`spec.kafka`: which Kafka the flow lives on, and who makes its topics and users there."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from orderflow_model.spec.base import Part, Rule, Transition, Unique
from orderflow_model.spec.references import SecretKeyRef, SecretSource
from orderflow_model.spec.scalars import ObjectName, PlainText


class Provisioner(StrEnum):
    """Who makes topics and users."""

    STRIMZI = "Strimzi"
    ADMIN = "Admin"


class AuthenticationType(StrEnum):
    """How the operator proves to Kafka who it is."""

    NONE = "None"
    SCRAM_SHA_256 = "ScramSha256"
    SCRAM_SHA_512 = "ScramSha512"


def _scram_is_complete(part: Any) -> bool:
    given = (part.username is not None, part.secret_key_ref is not None)
    return given == (False, False) if part.type is AuthenticationType.NONE else all(given)


class Authentication(Part):
    """The operator's own credentials at a Kafka it reaches by the admin API."""

    type: AuthenticationType = Field(
        AuthenticationType.NONE, description="None, or SCRAM with a user name and a password."
    )
    username: Annotated[PlainText, Field(min_length=1, max_length=256)] | None = Field(
        None, description="User name for SCRAM."
    )
    secret_key_ref: SecretKeyRef | None = Field(
        None,
        description="The Secret's key that holds the password. "
        "Its key bootstrap-servers lists the brokers that this may be sent to.",
    )

    rules = (
        Rule(
            cel="has(self.type) && self.type != 'None'"
            " ? has(self.username) && has(self.secretKeyRef)"
            " : !has(self.username) && !has(self.secretKeyRef)",
            message="SCRAM needs username and secretKeyRef; type None takes neither",
            holds=_scram_is_complete,
        ),
    )


class Tls(Part):
    """How brokers prove who they are."""

    certificate_authority: SecretSource | None = Field(
        None, description="Where the certificate stands that signs the brokers'; the system's own when left out."
    )


BootstrapServer = Annotated[
    str,
    Field(pattern=r"^([a-zA-Z0-9]([-.a-zA-Z0-9]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\]):[0-9]{1,5}$", max_length=260),
]


# Strimzi's Service is called after it, with -kafka-bootstrap behind; a Service's name has at most 63 characters.
ClusterName = Annotated[ObjectName, Field(max_length=47)]


def _is_strimzi(kafka: Any) -> bool:
    return kafka.provisioner is Provisioner.STRIMZI


class Kafka(Part):
    """The Kafka that carries the flow's events."""

    provisioner: Provisioner = Field(
        Provisioner.STRIMZI,
        description="Strimzi: topics and users are KafkaTopic and KafkaUser objects. "
        "Admin: they are made through the admin API of any Kafka.",
    )
    cluster: ClusterName | None = Field(None, description="Name of the Strimzi Kafka cluster.")
    bootstrap_servers: Annotated[tuple[BootstrapServer, ...], Field(max_length=16), Unique()] = Field(
        (), description="Addresses host:port of the brokers, for provisioner Admin."
    )
    authentication: Authentication | None = Field(
        None, description="The operator's credentials, for provisioner Admin; none when left out."
    )
    tls: Tls | None = Field(None, description="TLS to the brokers, for provisioner Admin; none when left out.")

    rules = (
        Rule(
            cel="self.provisioner != 'Strimzi' || has(self.cluster)",
            message="provisioner Strimzi needs cluster, the name of its Kafka",
            holds=lambda kafka: not _is_strimzi(kafka) or kafka.cluster is not None,
        ),
        Rule(
            cel="self.provisioner != 'Strimzi' || (!has(self.authentication) && !has(self.tls) &&"
            " (!has(self.bootstrapServers) || size(self.bootstrapServers) == 0))",
            message="bootstrapServers, authentication and tls belong to provisioner Admin",
            holds=lambda kafka: (
                not _is_strimzi(kafka)
                or (kafka.authentication is None and kafka.tls is None and not kafka.bootstrap_servers)
            ),
        ),
        Rule(
            cel="self.provisioner != 'Admin' || (!has(self.cluster) &&"
            " has(self.bootstrapServers) && size(self.bootstrapServers) > 0)",
            message="provisioner Admin needs bootstrapServers, and cluster belongs to provisioner Strimzi",
            holds=lambda kafka: _is_strimzi(kafka) or (kafka.cluster is None and bool(kafka.bootstrap_servers)),
        ),
    )
    transitions = (
        Transition(
            cel="self.provisioner == oldSelf.provisioner",
            message="provisioner cannot change: the topics would stay behind; make a new flow",
            allows=lambda old, new: old.provisioner is new.provisioner,
        ),
        Transition(
            cel="has(self.cluster) == has(oldSelf.cluster) && (!has(self.cluster) || self.cluster == oldSelf.cluster)",
            message="cluster cannot change: the topics would stay behind; make a new flow",
            allows=lambda old, new: old.cluster == new.cluster,
        ),
    )
