"""A Kafka that does not answer: said once, with why, and never in the client's own log lines."""

import pytest

from orderflow_console.queries import topics
from orderflow_console.queries.errors import ReadError
from orderflow_console.queries.kafka import client_options, reading

NOWHERE = "127.0.0.1:1"


def test_a_kafka_that_is_away_is_told_once(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """The error carries what the client knows of the broker, which so needs no log of its own: it would flood ours."""
    monkeypatch.setattr(topics, "TIMEOUT_SECONDS", 0.5)
    options = client_options(NOWHERE, {})
    with pytest.raises(ReadError, match=r"topics: .*Connection refused"):
        topics.list_topics(options, "shop")
    with pytest.raises(ReadError, match=r"lag: .*Connection refused"), reading(options, "lag") as consumer:
        consumer.list_topics(timeout=0.5)
    assert capfd.readouterr() == ("", "")
