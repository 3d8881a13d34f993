"""What Kafka refuses holds up its own topic alone, is told, and is published when the refusal ends; nothing is lost."""

import inspect

import pytest
from aiokafka import errors
from aiokafka.producer.message_accumulator import BatchBuilder

from orderflow_contracts.dead_letters import UNSENT
from orderflow_contracts.event import Event
from orderflow_runtime.core.event_log import LogUnavailable, Message, batch_bytes
from orderflow_runtime.dispatch import publications
from orderflow_runtime.dispatch.effects import Publisher
from orderflow_runtime.kafka.refusals import CODES, Whose, whose, words
from orderflow_runtime.service import EventTooLargeError
from orderflow_runtime.testing import FakeClock
from orderflow_runtime.tracing.tracer import Tracer
from support.runtime.running import Bench
from support.runtime.sample_service import Done, Pat, Put

PRODUCE = """
 0 2 3 5 6 7 10 13 17 18 19 20 21 29 31 32 35 42 43 44 45 46 47 53 54 56 58 59 67 74 75 76 87 89 90 100
"""
"""What a produce request may be answered with, by the protocol guide and the broker's own code."""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is tried again soon."""
    monkeypatch.setattr(publications, "_AGAIN_SECONDS", 0.05)


def test_every_answer_to_a_write_has_been_judged() -> None:
    """None of the codes falls to the default."""
    assert {int(code) for code in PRODUCE.split()} - {0} == set(CODES)


@pytest.mark.parametrize(
    "known", [c for _, c in inspect.getmembers(errors, inspect.isclass) if getattr(c, "errno", -1) in CODES]
)
def test_the_clients_errors_carry_the_codes(known: type[errors.KafkaError]) -> None:
    """Each is judged by its code, and what lasts says which topic and what to do."""
    assert whose(known()) is CODES[known.errno]
    if whose(known()) is Whose.TOPIC:
        said = words("shop.paid", known())
        assert "shop.paid" in said
        assert len(said.partition("; ")[2]) > 10


def test_an_error_without_a_code_is_the_clusters() -> None:
    """It is tried again."""
    assert whose(TimeoutError()) is whose(errors.KafkaConnectionError()) is Whose.CLUSTER


def done_of(bench: Bench, key: str) -> list[int]:
    """Give what was published of a key, repeats left out."""
    records = bench.cluster.records_of(bench.config.publishes[0].topic)
    found = {dict(r.headers)["ce_id"]: Done.decode(r.value or b"", 1).n for r in records if r.key == key.encode()}
    return list(found.values())


async def test_a_refused_topic_waits_alone_and_goes_on_in_order() -> None:
    """The service handles on, readiness tells of it, and afterwards all is published once and in order."""
    bench = Bench()
    topic = bench.config.publishes[0].topic
    bench.cluster.refused[topic] = f"Kafka refuses topic {topic}"
    async with bench.running() as instance:
        for n in range(20):
            bench.send(Put(thing=f"k{n % 2}", n=n))
        await bench.until(lambda: len(bench.effects()) == 20, "all are handled")
        await bench.until(lambda: topic in instance.worker.hindrance, "it is told")
        assert instance.worker.ready
        assert instance.worker.refused == {topic: 20}
        assert not bench.cluster.records_of(topic)
        del bench.cluster.refused[topic]
        await bench.until(lambda: len(done_of(bench, "k0")) == 10, "it is published")
        await bench.until(lambda: not instance.worker.hindrance, "nothing is told any more")
        bench.send(Put(thing="k0", n=20))
        await bench.until(lambda: len(done_of(bench, "k0")) == 11, "what comes after is published too")
        await bench.until(lambda: not bench.store.state.outbox, "nothing is owed")
    assert done_of(bench, "k0") == list(range(0, 21, 2))
    assert done_of(bench, "k1") == list(range(1, 20, 2))


@pytest.mark.parametrize("crash", [False, True])
async def test_what_waits_is_the_next_owners(crash: bool) -> None:
    """Whoever takes the partitions over goes on with what the one before could not publish, and with what is new."""
    bench = Bench()
    topic = bench.config.publishes[0].topic
    bench.cluster.refused[topic] = "no right"
    first = bench.instance()
    first.start()
    for n in range(6):
        bench.send(Put(thing="k", n=n))
    await bench.until(lambda: len(bench.effects()) == 6, "all are handled")
    await (first.crash() if crash else first.stop())
    second = bench.instance()
    second.start()
    bench.send(Put(thing="k", n=6))
    await bench.until(lambda: len(bench.effects()) == 7, "the next works, though it cannot publish")
    del bench.cluster.refused[topic]
    await bench.until(lambda: len(done_of(bench, "k")) == 7, "all is published")
    await second.stop()
    assert done_of(bench, "k") == list(range(7))
    assert not bench.store.state.outbox


async def test_a_message_that_no_topic_takes_becomes_a_dead_letter() -> None:
    """It is noted with its reason, its bytes are kept, and neither its key nor another waits for it."""
    bench = Bench()
    topic = bench.config.publishes[0].topic
    small = len(Done(thing="k", of="k", n=1).encode())
    bench.cluster.limits[topic] = small
    async with bench.running() as instance:
        for n in (1, 1_000_000, 2):
            bench.send(Put(thing="k", n=n))
        await bench.until(lambda: len(done_of(bench, "k")) == 2, "the others are published")
        await bench.until(lambda: bench.cluster.records_of(bench.config.dead_letter_topic), "its letter is")
        assert instance.worker.ready
        await bench.until(lambda: not bench.store.state.outbox, "nothing is owed")
    (row,) = bench.store.state.dead.values()
    assert (row.letter.type, row.letter.key) == ("DONE", "k")
    assert "takes no message like this" in row.letter.reason
    (letter,) = bench.cluster.records_of(bench.config.dead_letter_topic)
    assert Done.decode(letter.value or b"", 1).n == 1_000_000
    assert UNSENT in dict(letter.headers)


async def test_a_letter_that_is_refused_itself_waits() -> None:
    """With the dead-letter topic refused too, the message stays in the outbox and is told of."""
    bench = Bench()
    topic, letters = bench.config.publishes[0].topic, bench.config.dead_letter_topic
    bench.cluster.limits |= {topic: 1, letters: 1}
    async with bench.running() as instance:
        bench.send(Put(thing="k", n=1))
        await bench.until(lambda: letters in instance.worker.hindrance, "it is told")
        assert bench.store.state.outbox
        del bench.cluster.limits[letters]
        await bench.until(lambda: bench.cluster.records_of(letters), "the letter is written")
        await bench.until(lambda: not bench.store.state.outbox, "nothing is owed")


async def test_with_too_much_waiting_it_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands then: no more is taken, and that is no part of the work but all of it."""
    monkeypatch.setattr(publications, "MOST_HELD_BYTES", 1)
    bench = Bench()
    topic = bench.config.publishes[0].topic
    bench.cluster.refused[topic] = f"Kafka refuses topic {topic}"
    async with bench.running() as instance:
        bench.send(Put(thing="k", n=1))
        await bench.until(lambda: topic in instance.worker.obstacle, "it stands")
        del bench.cluster.refused[topic]
        await bench.until(lambda: instance.worker.ready, "it goes on")


async def test_a_topic_that_may_not_be_read_leaves_the_others() -> None:
    """Its events wait and it is told of; a service is not ready when it may read none of its topics."""
    bench = Bench()
    put, pat = (channel.topic for channel in bench.config.subscribes)
    bench.cluster.unread[put] = f"Kafka refuses topic {put}"
    async with bench.running() as instance:
        bench.send(Put(thing="k", n=1))
        bench.send(Pat(thing="k", n=2))
        await bench.until(lambda: len(bench.effects()) == 1, "the other topic is read")
        assert put in instance.worker.hindrance
        assert instance.worker.ready
        bench.cluster.unread[pat] = f"Kafka refuses topic {pat}"
        assert put in instance.worker.obstacle
        assert pat in instance.worker.obstacle
        bench.cluster.unread.clear()
        assert instance.worker.ready
        assert not instance.worker.hindrance


async def test_a_cluster_that_is_away_is_no_refusal() -> None:
    """It is tried until it is there, and nothing waits apart."""
    bench = Bench()
    bench.faults.add("publish", *[LogUnavailable("away")] * 3)
    async with bench.running() as instance:
        bench.send(Put(thing="k", n=1))
        await bench.until(lambda: done_of(bench, "k") == [1], "it is published")
        assert instance.worker.refused == {}


def test_a_batch_is_never_larger_than_it_is_counted() -> None:
    """What Kafka's format makes of messages is within what is counted for them."""
    for count, value, headers in ((1, 10, 0), (500, 1_000, 7), (3, 300_000, 64)):
        pairs = [(f"ce_{n}", b"v" * 30) for n in range(headers)]
        messages = [Message("t", b"key", pairs, b"x" * value) for _ in range(count)]
        builder = BatchBuilder(10**8, 0, is_transactional=False)
        for message in messages:
            builder.append(key=message.key, value=message.value, headers=message.headers, timestamp=None)
        assert builder.size() <= batch_bytes(messages) <= 1.5 * builder.size() + 200


def test_an_event_that_the_resource_says_is_too_large_is_not_even_committed() -> None:
    """Where the topic's limit is known, making the event fails, which is an attempt of what made it."""
    events: dict[type[Event], str] = {Done: "t.done"}
    publisher = Publisher("/t/sample", events, FakeClock(), Tracer(), limits={"t.done": 600})
    assert batch_bytes([publisher.message(Done(thing="k", n=1))]) <= 600
    with pytest.raises(EventTooLargeError, match=r"t\.done takes 600 at most"):
        publisher.message(Done(thing="k", n=1, do=("x" * 400,)))
