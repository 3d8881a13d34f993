"""How the read model reaches the flow's Kafka."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from orderflow_console.queries.errors import ReadError
from orderflow_model import environment

GROUP = "orderflow-console"
"""Named to brokers, and never joined: reading commits nothing. The client asks for its coordinator all the same."""
TIMEOUT_SECONDS = 10
_SECURITY = {
    environment.KAFKA_SECURITY_PROTOCOL: "security.protocol",
    environment.KAFKA_SASL_MECHANISM: "sasl.mechanism",
    environment.KAFKA_USERNAME: "sasl.username",
    environment.KAFKA_PASSWORD: "sasl.password",
    environment.KAFKA_CA_FILE: "ssl.ca.location",
}

Options = Mapping[str, Any]


def client_options(bootstrap: str, env: Mapping[str, str]) -> Options:
    """Return how to reach Kafka: its address, and security from the environment as a service has it.

    The client logs nothing: it would say the same twenty times a second, and what it says is told with the error.

    Raise `ReadError`, which names the variables, when the client refuses them.
    """
    security = {option: env[name] for name, option in _SECURITY.items() if env.get(name)}
    if security.get("security.protocol", "").startswith("SASL"):
        security.setdefault("sasl.mechanism", "SCRAM-SHA-512")
    options = {"bootstrap.servers": bootstrap, "log_level": 0, **security}
    try:
        Consumer({**options, "group.id": GROUP}).close()
    except KafkaException as error:
        words = error.args[0].str()
        said = [name for name, option in _SECURITY.items() if option in words]
        names = ", ".join(said or [name for name in _SECURITY if env.get(name)])
        raise ReadError(f"{names}: {words}", "Set them as the flow's services have them") from None
    return options


@contextmanager
def reading(options: Options, subject: str) -> Iterator[Consumer]:
    """Yield a consumer in no group, closed at the end; raise `ReadError` about the subject when Kafka refuses.

    A broker holds back the answer that a partition has no more, as if more might come: but for a moment.
    """
    own = {"enable.auto.commit": False, "enable.partition.eof": True, "fetch.wait.max.ms": 10}
    said: list[KafkaError] = []
    consumer = Consumer({"group.id": GROUP, **options, **own, "auto.offset.reset": "earliest", "error_cb": said.append})
    try:
        yield consumer
    except KafkaException as error:
        consumer.poll(0)
        raise _unanswered(subject, error, said) from None
    finally:
        consumer.close()


def until_end(consumer: Consumer, places: Sequence[TopicPartition]) -> Iterator[Message]:
    """Yield what partitions hold from these places on, to where each ends now, in no order of partitions.

    Raise `ReadError` when Kafka gives nothing, or `KafkaException`, which `reading` tells of.
    """
    consumer.assign(list(places))
    left = {(place.topic, place.partition) for place in places}
    while left:
        message = consumer.poll(TIMEOUT_SECONDS)
        if message is None:
            raise ReadError(f"Kafka gave nothing for {TIMEOUT_SECONDS} s", "Try again")
        error = message.error()
        if error is None:
            yield message
        elif error.code() == KafkaError._PARTITION_EOF:
            left.discard((message.topic() or "", message.partition() or 0))
        else:
            raise KafkaException(error)


def bytes_of(content: Any) -> bytes | None:
    """Return a key, value or header of a record that was read: the client's stubs allow forms that it never gives."""
    return content if isinstance(content, bytes) else None


@contextmanager
def asking(options: Options, subject: str) -> Iterator[AdminClient]:
    """Yield an admin client; raise `ReadError` about the subject when Kafka does not answer it or refuses."""
    said: list[KafkaError] = []
    own: dict[str, Any] = {**options, "error_cb": said.append}
    admin = AdminClient(own)
    try:
        yield admin
    except (KafkaException, TimeoutError) as error:
        admin.poll(0)
        raise _unanswered(subject, error, said) from None


def _unanswered(subject: str, error: KafkaException | TimeoutError, said: Sequence[KafkaError]) -> ReadError:
    """Return the error with the first thing that the client said of the brokers meanwhile."""
    words = error.args[0].str() if isinstance(error, KafkaException) else f"no answer in {TIMEOUT_SECONDS} s"
    why = f" ({said[0].str()})" if said else ""
    return ReadError(f"{subject}: {words}{why}", "Is Kafka running, and the flow's name right?")
