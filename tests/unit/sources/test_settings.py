"""What a source is told: a wrong variable is named before anything starts, and no secret with it."""

import pytest

from orderflow_runtime import MisconfiguredError
from orderflow_sources.settings import SourceSettings

ENV = {
    "SOURCE_URI_VARIABLE": "ERP_QUEUE_URI",
    "ERP_QUEUE_URI": "amqp://user:s3cret@host/vhost",
    "SOURCE_QUEUE": "orders",
    "SOURCE_REFUSED": "orders.refused",
    "SOURCE_INTO": "http://shop-order/orders",
}


def test_a_source_without_more_takes_fifty_at_a_time() -> None:
    """The id is the key where nothing else is said; the URI is not shown."""
    settings = SourceSettings.read(ENV)
    assert (settings.prefetch, settings.key_header, settings.tls) == (50, None, None)
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ERP_QUEUE_URI", ""),
        ("ERP_QUEUE_URI", "http://user:s3cret@host"),
        ("ERP_QUEUE_URI", "amqp://user:s3cret@"),
        ("ERP_QUEUE_URI", "amqp://user:s3cret@host:99999"),
        ("ERP_QUEUE_URI", "amqp://user:s3cret@[host"),
        ("ERP_QUEUE_URI", "amqp://user:s3cret@host/\nvhost"),
        ("SOURCE_QUEUE", ""),
        ("SOURCE_REFUSED", ""),
        ("SOURCE_INTO", "shop-order"),
        ("SOURCE_PREFETCH", "many"),
        ("SOURCE_CA_VARIABLE", "ERP_QUEUE_CA"),
    ],
)
def test_a_wrong_variable_is_named_without_its_secret(name: str, value: str) -> None:
    """The pod's last words say which, and hold no password."""
    with pytest.raises(MisconfiguredError) as refused:
        SourceSettings.read(ENV | {name: value})
    assert name.replace("SOURCE_CA_VARIABLE", "ERP_QUEUE_CA") in str(refused.value)
    assert "s3cret" not in str(refused.value)
