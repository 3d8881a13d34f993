"""A real Kafka as Strimzi sets one up: TLS, SCRAM users and an authorizer that refuses what no ACL allows.

The listener of `bootstrap` stays plain and belongs to the tests, who may do everything; pods use `secure_bootstrap`.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient

from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.kafka_jars import KafkaProgram
from orderflow_cli.servers.ports import HOST, free_port
from support.cluster.kafka_rights import KafkaRights
from support.tools.certificates import certificates

ROOT, ROOT_PASSWORD = "root", "root-password"
_EVERYTHING = [
    {"resource": {"type": kind, "name": name}, "operations": ["All"]}
    for kind, name in (("cluster", "kafka-cluster"), ("topic", "*"), ("group", "*"))
]

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
        self.ca, key, certificate = certificates()
        keystore = self._directory / "server.pem"
        keystore.write_text(key + certificate)
        with (self._directory / "server.properties").open("a") as file:
            controller = f"{HOST}:{self._controller_port}"
            names = {"plain": self.bootstrap, "controller": controller, "secure": self.secure_bootstrap}
            file.write(_SECURE.format(keystore=keystore, **names))

    def make_root(self) -> None:
        """Make the user ROOT, who may do everything: with its password the operator comes in."""
        KafkaRights(self.bootstrap).ensure_user(ROOT, ROOT_PASSWORD, _EVERYTHING)

    @property
    def login(self) -> dict[str, str]:
        """What stands in the Secret by which the operator comes in."""
        return {"password": ROOT_PASSWORD, "bootstrap-servers": self.secure_bootstrap}

    def attempt(self, user: str, password: str, topic: str) -> int | None:
        """Send one event as a user; give the code of the error, None when it was taken."""
        told: list[KafkaError | None] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            told.append(error)

        producer = Producer(self._login(user, password) | {"message.timeout.ms": 8000})
        producer.produce(topic, b"x", on_delivery=delivered)
        producer.flush(15)
        return told[0].code() if told and told[0] else None

    def topics_seen(self, user: str, password: str) -> set[str]:
        """Give the topics that a user sees; KafkaException when it is not let in."""
        return set(AdminClient(self._login(user, password)).list_topics(timeout=20).topics)

    def admits(self, user: str, password: str) -> bool:
        """Tell whether a user is let in with a password."""
        refused: list[KafkaError] = []
        admin = AdminClient(self._login(user, password) | {"error_cb": refused.append})
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with suppress(KafkaException):
                admin.list_topics(timeout=1)
                return True
            admin.poll(0)
            if any(error.code() == KafkaError._AUTHENTICATION for error in refused):
                return False
        raise TimeoutError(f"{self.secure_bootstrap} neither admits nor refuses {user}")

    @asynccontextmanager
    async def by_another_name(self) -> AsyncIterator[str]:
        """Give an address that leads to the secure port and that the certificate does not name."""

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            host, port = self.secure_bootstrap.split(":")
            there, back = await asyncio.open_connection(host, int(port))
            await asyncio.gather(_copy(reader, back), _copy(there, writer), return_exceptions=True)

        async with await asyncio.start_server(pass_on, "127.0.0.2", 0) as server:
            yield f"127.0.0.2:{server.sockets[0].getsockname()[1]}"

    def _login(self, user: str, password: str) -> dict[str, object]:
        return {
            "bootstrap.servers": self.secure_bootstrap,
            "security.protocol": "SASL_SSL",
            "ssl.ca.pem": self.ca,
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": password,
            "log_level": 0,
        }


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
