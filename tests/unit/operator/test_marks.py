"""What is a flow's own at a Kafka: kept by ids, noted before it is made, and no more than that."""

import pytest

from orderflow_operator.kafka.admin import Found
from orderflow_operator.kafka.client import Login
from orderflow_operator.reconciler.marks import Mark, kafka_of

FRESH = Found("kafka", {}, frozenset())


def found(*users: str, **topics: str) -> Found:
    """Give what a Kafka has."""
    return Found("kafka", topics, frozenset(users))


def test_what_is_not_there_is_noted_before_it_is_made() -> None:
    """So that an operator that dies in between knows it for its own afterwards."""
    mark = Mark().claiming(FRESH, {"asked"}, {"asker"})
    assert (mark.topics, mark.making, mark.users) == ({}, ("asked",), ("asker",))
    assert mark.holding(found(asked="1")) == {"asked": "1"}


def test_what_was_there_first_is_never_the_flows() -> None:
    """Neither a topic nor a user is claimed by wanting it."""
    there = found("asker", asked="1")
    mark = Mark().claiming(there, {"asked"}, {"asker"})
    assert mark == Mark()
    assert mark.holding(there) == {}


def test_what_kafka_refused_is_given_up() -> None:
    """Whoever makes it later keeps it; what was not answered may have been made."""
    mark = Mark().claiming(FRESH, {"asked", "answered"}, set()).settled({}, {"answered"})
    assert mark.holding(found(asked="theirs", answered="ours")) == {"answered": "ours"}


def test_a_topic_with_another_id_is_another_topic() -> None:
    """It was deleted and made anew by somebody else: nothing of it is the flow's."""
    mark = Mark({"asked": "1"})
    assert mark.holding(found(asked="2")) == {}
    assert mark.claiming(found(asked="2"), {"asked"}, set()) == Mark()


def test_a_topic_that_a_broker_does_not_know_yet_keeps_its_id() -> None:
    """Right after it was made not every broker tells of it; when it is gone indeed it is made again."""
    mark = Mark({"asked": "1"}).claiming(FRESH, {"asked"}, set())
    assert mark.settled({}, set()).holding(found(asked="1")) == {"asked": "1"}
    assert mark.settled({"asked": "2"}, set()).holding(found(asked="2")) == {"asked": "2"}
    assert mark.settled({}, set()).holding(found(asked="2")) == {}


def test_a_mark_at_rest_stays_as_it_is() -> None:
    """Nothing is written for a flow that is as it should be."""
    mark = Mark({"asked": "1"}, (), ("asker",))
    assert mark.claiming(found("asker", asked="1"), {"asked"}, {"asker"}).settled({}, set()) == mark


@pytest.mark.parametrize(
    ("login", "trusted"),
    [
        (Login("k:1"), False),
        (Login("k:1", "SSL"), False),
        (Login("k:1", "SSL", authority="pem"), False),
        (Login("k:1", "SASL_SSL", "SCRAM-SHA-512", "root"), True),
    ],
)
def test_who_proved_nothing_makes_no_mark_at_the_real_kafka(login: Login, trusted: bool) -> None:
    """Anybody can answer with another Kafka's id; only who knows a password that was meant for it is believed."""
    assert (kafka_of(FRESH, login) == "kafka") is trusted
