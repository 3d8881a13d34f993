"""What the console's user may do at a Kafka that refuses all else: read what it shows, and put events back."""

import datetime as dt
import uuid
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, Producer

from orderflow_console.queries.errors import ReadError
from orderflow_console.queries.events import browse_events
from orderflow_console.queries.kafka import Options
from orderflow_console.queries.letter_records import find_record
from orderflow_console.queries.topics import get_topic, list_topics
from orderflow_console.settings import Access, ConsoleConfig, Settings
from orderflow_console.web.context import _kafka
from orderflow_model import environment
from orderflow_model.postgres_uri import PostgresUri
from orderflow_model.spec.console import CONSOLE, Console
from orderflow_model.topics import event_topic, flow_topics
from orderflow_operator.kafka.acls import service_acls
from support.cluster.kafka_rights import KafkaRights
from support.flow.orders import shop_flow
from support.tools.secure_kafka import SecureKafka

USER, PASSWORD = "team-a.shop.console", "a password of this test"


def test_the_consoles_user_reads_and_puts_back_and_nothing_else(
    secure_kafka: SecureKafka, flow_name: str, tmp_path: Path
) -> None:
    """By the very rules of the operator, and as the console names itself: pages are read, a record is written."""
    flow = shop_flow(flow_name)
    spec = flow.spec.model_copy(update={"console": Console(image="i:1")})
    flow = flow.model_copy(update={"spec": spec})
    events = event_topic(flow, flow.spec.events[0]).name
    letters = f"{flow_name}.payment.dead-letters"
    rights = KafkaRights(secure_kafka.bootstrap)
    for topic in flow_topics(flow):
        rights.create_topic(topic.name, 1, 1, {})
    rights.create_topic(f"{flow_name}.secret", 1, 1, {})
    rules = [
        {"resource": {"type": str(one.type), "name": one.name, "patternType": "literal"}, "operations": one.operations}
        for one in service_acls(flow, flow.service(CONSOLE))
    ]
    rights.ensure_user(USER, PASSWORD, rules)
    (ca := tmp_path / "ca.crt").write_text(secure_kafka.ca)
    told = {
        environment.KAFKA_SECURITY_PROTOCOL: "SASL_SSL",
        environment.KAFKA_USERNAME: USER,
        environment.KAFKA_PASSWORD: PASSWORD,
        environment.KAFKA_CA_FILE: str(ca),
    }
    config = ConsoleConfig(flow=flow.pictured(), urls={})
    access = Access(Console(image="i:1"), "t" * 20, None)
    database = PostgresUri.parse("postgresql://nobody@127.0.0.1:1/nothing")
    options = _kafka(Settings(config, database, secure_kafka.secure_bootstrap, "127.0.0.1", 1, access), told)
    assert _write(options, events) is None
    assert [one.data for one in browse_events(options, events, personal=()).items] == [{"a": 1}]
    assert find_record(options, letters, uuid.uuid4(), dt.datetime.now(dt.UTC)) is None
    assert get_topic(options, events).partitions[0].end == 1
    assert {topic.name for topic in list_topics(options, flow_name)} == {topic.name for topic in flow_topics(flow)}
    assert _write(options, letters) == KafkaError.TOPIC_AUTHORIZATION_FAILED
    with pytest.raises(ReadError):
        browse_events(options, f"{flow_name}.secret", personal=())


def _write(options: Options, topic: str) -> int | None:
    """Write a record as a redrive does; give the code of the error, None when it was taken."""
    told: list[KafkaError | None] = []
    producer = Producer({**options, "acks": "all", "enable.idempotence": True, "message.timeout.ms": 8000})
    producer.produce(topic, b'{"a": 1}', b"k", on_delivery=lambda error, _: told.append(error))
    producer.flush(15)
    return told[0].code() if told and told[0] else None
