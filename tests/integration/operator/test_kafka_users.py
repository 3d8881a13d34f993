"""Users and access by the admin API, on a Kafka that asks for SCRAM over TLS and refuses what no ACL allows."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient

from orderflow_model.topics import Topic
from orderflow_operator.access import Access, Operation
from orderflow_operator.access import ResourceType as Type
from orderflow_operator.kafka_admin import KafkaAdmin, Login, User
from support.secure_kafka import ROOT, ROOT_PASSWORD, SecureKafka
from support.servers import kafka_program

MAY_WRITE = Access(Type.TOPIC, "asked", (Operation.WRITE,))
MAY_READ = Access(Type.GROUP, "shop.asker", (Operation.READ,))
TOPICS = [Topic(name, 1, 1, 60_000) for name in ("asked", "answered")]


@pytest.fixture(scope="module")
def broker(scratch: Path) -> Iterator[SecureKafka]:
    """A broker with one user, `root`, who may do everything."""
    (folder := scratch / "admin").mkdir()
    server = SecureKafka(folder, kafka_program())
    server.start()
    server.make_root()
    yield server
    server.stop()


@pytest.fixture
def login(broker: SecureKafka) -> Login:
    """How the operator reaches it."""
    return Login(broker.secure_bootstrap, "SASL_SSL", "SCRAM-SHA-512", ROOT, ROOT_PASSWORD, broker.ca)


def outcome(broker: SecureKafka, user: User, topic: str) -> int | None:
    """The error code of one event sent as that user; None when it was taken."""
    return broker.attempt(user.name, user.password, topic)


async def test_a_user_may_do_what_it_is_given_and_no_more(broker: SecureKafka, login: Login) -> None:
    """Its password opens the door, its ACLs say how far; what is taken away it may no longer do."""
    admin = KafkaAdmin()
    asker = User("shop-asker", "first-password", (MAY_WRITE, MAY_READ))
    done = await admin.provision(login, TOPICS, [asker])
    assert done.problems == []
    assert outcome(broker, asker, "asked") is None
    assert outcome(broker, asker, "answered") == KafkaError.TOPIC_AUTHORIZATION_FAILED
    less = User(asker.name, asker.password, (MAY_READ,))
    assert (await admin.provision(login, TOPICS, [less])).problems == []
    assert outcome(broker, asker, "asked") == KafkaError.TOPIC_AUTHORIZATION_FAILED


async def test_a_removed_user_leaves_no_access_behind(broker: SecureKafka, login: Login) -> None:
    """Removal is complete, and removing again is no error."""
    admin = KafkaAdmin()
    await admin.provision(login, TOPICS, [User("shop-gone", "pw", (MAY_WRITE,))])
    for _ in range(2):
        await admin.remove(login, ["asked", "answered"], ["shop-gone"])
    client = AdminClient({"bootstrap.servers": broker.bootstrap})
    assert "shop-gone" not in client.describe_user_scram_credentials().result(10)
    assert {"asked", "answered"} & set(client.list_topics(timeout=10).topics) == set()


async def test_a_wrong_password_of_the_operator_is_a_problem(login: Login) -> None:
    """It is told of, and hangs nowhere."""
    wrong = Login(login.bootstrap, login.protocol, login.mechanism, ROOT, "wrong", login.authority)
    done = await KafkaAdmin().provision(wrong, TOPICS, [])
    assert [problem.reason for problem in done.problems] == ["KafkaUnavailable"]
