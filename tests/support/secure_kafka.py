"""A real Kafka as Strimzi sets one up: TLS, SCRAM users and an authorizer that refuses what no ACL allows.

The listener of `bootstrap` stays plain and belongs to the tests, who may do everything; pods use `secure_bootstrap`.
"""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from orderflow_cli.kafka import Kafka
from orderflow_cli.kafka_jars import KafkaProgram
from orderflow_cli.ports import HOST, free_port

_SECURE = """\
listeners=BROKER://{plain},CONTROLLER://{controller},CLIENTS://{secure}
advertised.listeners=BROKER://{plain},CLIENTS://{secure}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENTS:SASL_SSL
listener.name.clients.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.clients.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.clients.ssl.keystore.type=PEM
listener.name.clients.ssl.keystore.location={keystore}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""


class SecureKafka(Kafka):
    """One broker with a second listener, which asks for SCRAM-SHA-512 over TLS."""

    def __init__(self, directory: Path, program: KafkaProgram) -> None:
        super().__init__(directory, program)
        self.secure_bootstrap = f"{HOST}:{free_port()}"
        self.ca = ""
        """The certificate, as PEM, by which clients know the broker."""

    def _write_properties(self) -> None:
        super()._write_properties()
        self.ca, server = _certificates()
        keystore = self._directory / "server.pem"
        keystore.write_text(server)
        with (self._directory / "server.properties").open("a") as file:
            controller = f"{HOST}:{self._controller_port}"
            names = {"plain": self.bootstrap, "controller": controller, "secure": self.secure_bootstrap}
            file.write(_SECURE.format(keystore=keystore, **names))


def _certificates() -> tuple[str, str]:
    """Give an authority's certificate, and a server's key with its certificate; both as PEM."""
    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    authority = (
        _builder(name, name, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST)), x509.DNSName("localhost")])
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    server = (
        _builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)]), name, server_key)
        .add_extension(loopback, critical=False)
        .add_extension(issuer, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key = server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    return authority.public_bytes(pem).decode(), key + server.public_bytes(pem).decode()


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
