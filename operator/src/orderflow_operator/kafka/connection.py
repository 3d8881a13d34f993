"""How pods reach Kafka: address, protocol, and where user name, password and certificate stand. Pure.

Deployments turn it into environment and mounts, the autoscaler into its trigger; both provisioners are told apart here.
"""

from dataclasses import dataclass

from orderflow_model.flow import OrderFlow
from orderflow_model.names import kafka_secret_name
from orderflow_model.spec.kafka import AuthenticationType, Kafka, Provisioner

STRIMZI_PORT = 9093
PASSWORD_KEY = "password"  # noqa: S105 - the key's name, not a password

_MECHANISMS = {
    AuthenticationType.SCRAM_SHA_256: "SCRAM-SHA-256",
    AuthenticationType.SCRAM_SHA_512: "SCRAM-SHA-512",
}


@dataclass(frozen=True)
class Authority:
    """The Secret and its key with the certificate that signs the brokers'."""

    secret: str
    key: str


@dataclass(frozen=True)
class KafkaConnection:
    """`mechanism` is None without users, `authority` where the system's own will do."""

    bootstrap: str
    tls: bool
    mechanism: str | None
    authority: Authority | None
    strimzi: bool

    @property
    def protocol(self) -> str:
        """The security protocol, as Kafka's clients name it."""
        encrypted = "SSL" if self.tls else "PLAINTEXT"
        return f"SASL_{encrypted}" if self.mechanism else encrypted

    @property
    def address(self) -> str:
        """Where Kafka is asked and how, as one text: with another it may be another Kafka."""
        return f"{self.protocol}://{self.bootstrap}"

    def secret(self, owner: str) -> str:
        """Return the Secret that holds a user's password, by the name of the objects it belongs to."""
        return kafka_secret_name(owner, strimzi=self.strimzi)


def kafka_connection(flow: OrderFlow) -> KafkaConnection:
    """Return how pods of the flow reach their Kafka."""
    kafka = flow.spec.kafka
    if kafka.provisioner is Provisioner.STRIMZI:
        authority = Authority(f"{kafka.cluster}-cluster-ca-cert", "ca.crt")
        return KafkaConnection(
            f"{kafka.cluster}-kafka-bootstrap:{STRIMZI_PORT}", True, "SCRAM-SHA-512", authority, True
        )
    type_ = kafka.authentication.type if kafka.authentication else AuthenticationType.NONE
    bootstrap = ",".join(kafka.bootstrap_servers)
    return KafkaConnection(bootstrap, kafka.tls is not None, _MECHANISMS.get(type_), _authority(kafka), False)


def _authority(kafka: Kafka) -> Authority | None:
    if kafka.tls is None or kafka.tls.certificate_authority is None:
        return None
    reference = kafka.tls.certificate_authority.secret_key_ref
    return Authority(reference.name, reference.key)
