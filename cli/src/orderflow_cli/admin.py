"""An admin client of a Kafka cluster, as the laptop's Kafka and the topics' maker use it."""

from confluent_kafka.admin import AdminClient

_ERRORS_ONLY = 3  # librdkafka writes to stderr itself, into the middle of the live view


def admin_client(bootstrap: str) -> AdminClient:
    """A client of the cluster at `host:port`; it connects at its first call."""
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": _ERRORS_ONLY})
