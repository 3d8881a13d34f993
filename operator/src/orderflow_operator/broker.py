"""How pods reach Kafka: address, protocol, and where user name, password and certificate stand. Pure.

Deployments turn it into environment and mounts, the autoscaler into its trigger; both provisioners are told apart here.
"""

from dataclasses import dataclass

from orderflow_model.flow import OrderFlow
from orderflow_model.kafka import AuthenticationType, Provisioner

STRIMZI_PORT = 9093
PASSWORD_KEY = "password"  # noqa: S105 - the key's name, not a password
CA_KEY = "ca.crt"
OWN_USER_SUFFIX = ".kafka"

_MECHANISMS = {
    AuthenticationType.SCRAM_SHA_256: "SCRAM-SHA-256",
    AuthenticationType.SCRAM_SHA_512: "SCRAM-SHA-512",
}


@dataclass(frozen=True)
class Broker:
    """`mechanism` is None without users, `ca_secret` without TLS; `suffix` ends the name of a user's Secret."""

    bootstrap: str
    protocol: str
    mechanism: str | None
    ca_secret: str | None
    suffix: str

    def secret(self, user: str) -> str:
        """Return the Secret that holds the user's password."""
        return f"{user}{self.suffix}"


def broker(flow: OrderFlow) -> Broker:
    """Return how pods of the flow reach their Kafka."""
    kafka = flow.spec.kafka
    if kafka.provisioner is Provisioner.STRIMZI:
        address = f"{kafka.cluster}-kafka-bootstrap:{STRIMZI_PORT}"
        return Broker(address, "SASL_SSL", "SCRAM-SHA-512", f"{kafka.cluster}-cluster-ca-cert", "")
    type_ = kafka.authentication.type if kafka.authentication else AuthenticationType.NONE
    mechanism = _MECHANISMS.get(type_)
    protocol = "SASL_PLAINTEXT" if mechanism else "PLAINTEXT"
    return Broker(",".join(kafka.bootstrap_servers), protocol, mechanism, None, OWN_USER_SUFFIX)
