"""`spec.sources`: where messages come from that are no events yet, and the service that takes them in.

Each source is served by a program of its own, which hands every message to that service by its HTTP API: the same door,
and the same refusals, as for everybody else. It has a place among the flow's services, so that whoever serves those
serves it.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from orderflow_model.names import object_name
from orderflow_model.spec.base import Part, Rule
from orderflow_model.spec.references import SecretSource
from orderflow_model.spec.scalars import PlainText, ServiceName
from orderflow_model.spec.services import NO_MIGRATIONS, EnvVar, Image, Resources, Service

_MODULE = "orderflow_sources"


class QueueProtocol(StrEnum):
    """What a queue's broker speaks."""

    AMQP091 = "Amqp091"


REFUSED = ".refused"
_NAME_MAX = 255  # a short string of AMQP, in bytes
QueueName = Annotated[PlainText, Field(pattern=r"^[ -~]+$", max_length=_NAME_MAX)]


class QueueTls(Part):
    """How the broker proves who it is."""

    certificate_authority: SecretSource = Field(
        description="Where the certificate stands that signs the broker's, in PEM; without, the system's own are asked."
    )


class Queue(Part):
    """A queue of a broker that is not Kafka, which is there already: it belongs to those who publish to it."""

    protocol: QueueProtocol = Field(
        QueueProtocol.AMQP091, description="What the broker speaks. Amqp091: AMQP 0-9-1, as RabbitMQ does."
    )
    uri: SecretSource = Field(
        description="Where the broker's URI stands, with user, password and virtual host: amqps://user:password@host/vhost."
    )
    name: QueueName = Field(description="Name of the queue.")
    prefetch: Annotated[int, Field(strict=True, ge=1, le=1000)] = Field(
        50, description="How many messages are in hand at a time, neither accepted nor refused yet."
    )
    refused: QueueName | None = Field(
        None,
        description="Name of the queue for refused messages, which is made when it is not there; the queue's own with "
        ".refused behind when left out.",
    )
    tls: QueueTls | None = Field(None, description="TLS to the broker beyond what the URI's amqps says.")

    rules = (
        Rule(
            cel="!has(self.refused) || self.refused != self.name",
            message="refused must be another queue than name: a refused message would come back for ever",
            holds=lambda queue: queue.refused != queue.name,
        ),
        Rule(
            cel="has(self.refused) || size(self.name) <= 247",
            message="name leaves no room for .refused behind it (255 characters): name the queue refused yourself",
            holds=lambda queue: queue.refused is not None or len(queue.name) <= _NAME_MAX - len(REFUSED),
        ),
    )

    @property
    def refused_name(self) -> str:
        """Name of the queue for refused messages."""
        return self.refused or f"{self.name}{REFUSED}"


class Into(Part):
    """Who takes the messages in."""

    service: ServiceName = Field(description="The service of the flow whose API takes a message as the body of a POST.")
    path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~/-]*$", max_length=256)] = Field(
        description="Path of the POST, such as /orders."
    )
    key_header: Annotated[str, Field(pattern=r"^[-_.A-Za-z0-9]+$", max_length=255)] | None = Field(
        None,
        description="Header of a message that holds its Idempotency-Key; its property message-id does when left out.",
    )


class Source(Part):
    """One place that messages come from."""

    name: ServiceName = Field(description="Name of the source, which no service has; its objects are named after it.")
    image: Image = Field(description="Container image that has orderflow_sources.")
    queue: Queue = Field(description="The queue that messages are taken from.")
    into: Into = Field(description="Who takes them in.")
    resources: Resources = Field(default_factory=Resources, description="Processors and memory of its pod.")

    @property
    def uri_variable(self) -> str:
        """The variable that holds the broker's URI; a laptop's shell has to set it."""
        return f"{self._prefix}URI"

    @property
    def authority_variable(self) -> str:
        """The variable that holds the broker's certificate authority."""
        return f"{self._prefix}CA"

    @property
    def _prefix(self) -> str:
        return f"{self.name.upper().replace('-', '_')}_QUEUE_"


class _SourceProgram(Service):
    """A service that hears and says nothing."""

    rules = ()


def source_service(flow: str, source: Source) -> Service:
    """Return the program of a source as a service of the flow: it reads no event and writes none."""
    queue, into = source.queue, source.into
    told = {
        "SOURCE_NAME": source.name,
        "SOURCE_QUEUE": queue.name,
        "SOURCE_REFUSED": queue.refused_name,
        "SOURCE_PREFETCH": str(queue.prefetch),
        "SOURCE_INTO": f"http://{object_name(flow, into.service)}{into.path}",
        "SOURCE_URI_VARIABLE": source.uri_variable,
    }
    told |= {"SOURCE_KEY_HEADER": into.key_header} if into.key_header else {}
    secrets = {source.uri_variable: queue.uri}
    if queue.tls is not None:
        told["SOURCE_CA_VARIABLE"] = source.authority_variable
        secrets[source.authority_variable] = queue.tls.certificate_authority
    plain = [{"name": name, "value": value} for name, value in told.items()]
    kept = [{"name": name, "valueFrom": where.model_dump()} for name, where in secrets.items()]
    return _SourceProgram(
        name=source.name,
        image=source.image,
        command=("python", "-m", _MODULE),
        migrations=NO_MIGRATIONS,
        env=tuple(map(EnvVar.model_validate, (*plain, *kept))),
        resources=source.resources,
    )
