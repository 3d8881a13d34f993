"""Users and access by the admin API, on a Kafka that asks for SCRAM over TLS and refuses what no ACL allows."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient

from orderflow_cli.servers.ports import free_port
from orderflow_model.topics import Topic
from orderflow_operator.kafka.acls import Acl, Operation
from orderflow_operator.kafka.acls import ResourceType as Type
from orderflow_operator.kafka.admin import KafkaAdmin, User
from orderflow_operator.kafka.client import Login
from orderflow_operator.kubernetes.errors import KafkaUnavailableError
from support.cluster.kafka_rights import KafkaRights
from support.flow.fleet import until
from support.tools.certificates import certificates
from support.tools.secure_kafka import ROOT, ROOT_PASSWORD, SecureKafka

MAY_WRITE = Acl(Type.TOPIC, "asked", (Operation.WRITE,))
MAY_READ = Acl(Type.GROUP, "shop.asker", (Operation.READ,))
TOPICS = [Topic(name, 1, 1, 60_000) for name in ("asked", "answered")]


@pytest.fixture
def login(secure_kafka: SecureKafka) -> Login:
    """How the operator reaches it."""
    secure_kafka.make_root()
    return Login(secure_kafka.secure_bootstrap, "SASL_SSL", "SCRAM-SHA-512", ROOT, ROOT_PASSWORD, secure_kafka.ca)


async def until_outcome(secure_kafka: SecureKafka, user: User, topic: str, code: int | None) -> None:
    """Wait until an event of that user is taken (None) or refused so: brokers read a moment later what was decided."""
    attempt = partial(asyncio.to_thread, secure_kafka.attempt, user.name, user.password, topic)

    async def comes() -> bool:
        return await attempt() == code

    await until(comes, f"{user.name} sends to {topic}: {code}", 30)


async def test_a_user_may_do_what_it_is_given_and_no_more(secure_kafka: SecureKafka, login: Login) -> None:
    """Its password opens the door, its ACLs say how far; what is taken away it may no longer do."""
    admin = KafkaAdmin()
    asker = User("shop-asker", "first-password", (MAY_WRITE, MAY_READ))
    done = await admin.provision(login, TOPICS, [asker])
    assert done.problems == []
    await until_outcome(secure_kafka, asker, "asked", None)
    await until_outcome(secure_kafka, asker, "answered", KafkaError.TOPIC_AUTHORIZATION_FAILED)
    less = User(asker.name, asker.password, (MAY_READ,))
    assert (await admin.provision(login, TOPICS, [less], done.ours)).problems == []
    await until_outcome(secure_kafka, asker, "asked", KafkaError.TOPIC_AUTHORIZATION_FAILED)


async def test_a_removed_user_leaves_no_access_behind(secure_kafka: SecureKafka, login: Login) -> None:
    """Removal is complete, and removing again is no error."""
    admin = KafkaAdmin()
    await admin.provision(login, TOPICS, [User("shop-gone", "pw", (MAY_WRITE,))])
    for _ in range(2):
        await admin.remove(login, ["asked", "answered"], ["shop-gone"])
    client = AdminClient({"bootstrap.servers": secure_kafka.bootstrap})
    await until(lambda: "shop-gone" not in client.describe_user_scram_credentials().result(10), "no user is left", 20)
    await until(
        lambda: not {"asked", "answered"} & client.list_topics(timeout=10).topics.keys(), "no topic is left", 20
    )


WAYS_TO_FAIL: dict[str, tuple[Callable[[Login, SecureKafka], Login], str]] = {
    "a wrong password": (
        lambda right, _: replace(right, password="other"),  # noqa: S106 - of a broker that lives for this test
        "authentication failed",
    ),
    "no such user": (lambda right, _: replace(right, username="nobody"), "authentication failed"),
    "another mechanism": (lambda right, _: replace(right, mechanism="SCRAM-SHA-256"), "does not offer this SASL"),
    "a login where none is asked": (
        lambda right, broker: replace(right, bootstrap=broker.bootstrap, protocol="SASL_PLAINTEXT"),
        "asks for no login",
    ),
    "another authority": (lambda right, _: replace(right, authority=certificates()[0]), "not signed by the authority"),
    "the system's authorities": (lambda right, _: replace(right, authority=None), "not signed by the authority"),
    "an authority that is no certificate": (
        lambda right, _: replace(right, authority="-----"),
        "no certificate in PEM",
    ),
    "TLS to a plain port": (lambda right, broker: replace(right, bootstrap=broker.bootstrap), "speaks no TLS"),
    "plain to a TLS port": (lambda right, _: Login(right.bootstrap), "may ask for TLS or for a login"),
    "no login where one is asked": (lambda right, _: replace(right, protocol="SSL", mechanism=None), "for a login"),
    "nobody there": (lambda right, _: Login(f"127.0.0.1:{free_port()}"), "nobody listens on that port"),
    "no such host": (lambda right, _: Login("nowhere.invalid:9092"), "the host's name is not known"),
}


async def test_why_kafka_is_not_reached_is_said(secure_kafka: SecureKafka, login: Login) -> None:
    """Each way not to get in has its own words, and nothing hangs."""
    logins = {how: spoil(login, secure_kafka) for how, (spoil, _) in WAYS_TO_FAIL.items()}
    all_done = await asyncio.gather(*(KafkaAdmin().provision(wrong, TOPICS, []) for wrong in logins.values()))
    for (how, wrong), done in zip(logins.items(), all_done, strict=True):
        (problem,) = done.problems
        assert (problem.reason, problem.condition) == ("KafkaUnavailable", "TopicsReady")
        assert WAYS_TO_FAIL[how][1] in problem.message, how
        assert wrong.bootstrap in problem.message


async def test_a_removal_with_an_authority_that_is_none_is_a_problem_too(login: Login) -> None:
    """A flow with such a Secret can still be deleted: what went wrong is told, and no accident."""
    with pytest.raises(KafkaUnavailableError, match="no certificate in PEM"):
        await KafkaAdmin().remove(replace(login, authority="-----"), ["asked"], [])


async def test_a_certificate_for_another_name_is_told_apart(secure_kafka: SecureKafka, login: Login) -> None:
    """The authority is right and the address is not the one that the certificate was made for."""
    async with secure_kafka.by_another_name() as address:
        done = await KafkaAdmin().provision(replace(login, bootstrap=address), TOPICS, [])
    assert "for another host name" in done.problems[0].message


async def test_what_a_user_may_not_do_is_that_topics_problem(secure_kafka: SecureKafka, login: Login) -> None:
    """An operator with too few rights is told which, topic by topic, also where the topic is there and unseen."""
    KafkaRights(secure_kafka.bootstrap).ensure_user("clerk", "clerk-password", [])
    clerk = replace(login, username="clerk", password="clerk-password")  # noqa: S106 - as above
    made = await KafkaAdmin().provision(login, TOPICS[:1], [])
    done = await KafkaAdmin().provision(clerk, TOPICS, [], made.ours)
    assert [problem.reason for problem in done.problems] == ["TopicRefused", "TopicRefused"]
    for name, problem in zip(("asked", "answered"), done.problems, strict=True):
        assert f"topic {name} " in problem.message
        assert "it needs " in problem.message
    await KafkaAdmin().remove(login, ["asked"], [])
