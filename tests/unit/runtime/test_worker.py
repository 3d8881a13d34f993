"""What the worker promises, over the memory ports: effects once, order by key, takeover, fencing, graceful stop."""

import asyncio
from collections.abc import Mapping

import pytest

from orderflow_runtime.core.event_log import LogUnavailable, Message, Partition, Position, pack, unpack
from orderflow_runtime.core.store import Conflict, Fenced, StoreUnavailable
from orderflow_runtime.testing.faults import Faults
from orderflow_runtime.worker import batch_source, worker
from support.runtime.running import Bench, message
from support.runtime.sample_service import Done, Pat, Put, sample_config


async def test_events_are_handled_once_in_order_and_their_results_published() -> None:
    """Every event's effect and result is there exactly once, in the order of its key."""
    bench = Bench()
    for n in range(20):
        bench.send(Put(thing=f"k{n % 4}", n=n))
    async with bench.running():
        await bench.until(lambda: sum(map(len, bench.done().values())) == 20, "all results")
    for key in range(4):
        assert bench.effects_of(f"k{key}") == [f"PUT {n}" for n in range(key, 20, 4)]
        assert bench.done()[f"k{key}"] == list(range(key, 20, 4))
    assert not bench.store.state.outbox, "what is published is deleted at the latest at the stop"


async def test_repeated_records_take_effect_once() -> None:
    """An event that is in the topic several times, in one batch or in later ones, is handled once."""
    bench = Bench(partitions=1)
    for _ in range(3):
        bench.send(Put(thing="k", n=1), event_id="one")
    async with bench.running():
        await bench.until(bench.effects, "the effect")
        bench.send(Put(thing="k", n=1), event_id="one")
        bench.send(Put(thing="k", n=2))
        await bench.until(lambda: len(bench.effects()) > 1, "what came after")
    assert bench.effects() == [("k", "PUT 1"), ("k", "PUT 2")]


STEPS = ("begin", "open", "close", "commit", "committed", "acquire", "backlog", "pending_calls", "due", "release")


@pytest.mark.parametrize("step", STEPS)
async def test_losing_postgres_at_any_step_loses_and_doubles_nothing(step: str) -> None:
    """Whatever step fails, and whether the commit happened or not, each event has its effect once, in order."""
    bench = Bench(partitions=1)
    bench.faults.add(step, *[StoreUnavailable(step)] * 2, None, StoreUnavailable(step))
    async with bench.running():
        for n in range(10):
            bench.send(Put(thing="k", n=n))
            await asyncio.sleep(0.01)
        await bench.until(lambda: len(bench.done().get("k", ())) == 10, "all results")
    assert bench.effects_of("k") == [f"PUT {n}" for n in range(10)]
    assert bench.done()["k"] == list(range(10))


@pytest.mark.parametrize("step", ["acquire", "backlog", "release"])
async def test_a_deadlock_beside_the_batches_passes(step: str) -> None:
    """Bookkeeping outside a batch may be a deadlock's victim too: it is done again, or left to the next owner."""
    bench = Bench(partitions=1)
    bench.faults.add(step, Conflict(step), None, Conflict(step))
    for n in range(10):
        bench.send(Put(thing="k", n=n))
    async with bench.running():
        await bench.until(lambda: len(bench.done().get("k", ())) == 10, "all results")
    assert bench.effects_of("k") == [f"PUT {n}" for n in range(10)]


@pytest.mark.parametrize("step", ["start", "resume", "fetch", "publish", "published"])
async def test_losing_kafka_at_any_step_loses_and_doubles_nothing(step: str) -> None:
    """Whether what was published arrived or not, each result is there once for those that know its id, in order."""
    bench = Bench(partitions=1)
    bench.faults.add(step, None, *[LogUnavailable(step)] * 2, None, LogUnavailable(step))
    async with bench.running():
        for n in range(10):
            bench.send(Put(thing="k", n=n))
            await asyncio.sleep(0.01)
        await bench.until(lambda: len(bench.done().get("k", ())) == 10, "all results")
    assert bench.effects_of("k") == [f"PUT {n}" for n in range(10)]
    assert bench.done()["k"] == list(range(10))


async def test_a_former_owner_that_still_runs_is_fenced() -> None:
    """A zombie whose seat was taken changes nothing any more, and the new owner handles each event once."""
    bench = Bench()
    zombie = bench.instance(Faults())
    zombie.start()
    bench.send(Put(thing="a", n=0))
    await bench.until(bench.effects, "the first effect")
    heir = bench.instance()
    heir.start()
    await bench.until(lambda: heir.worker.ready and zombie.worker.ready and heir.log.assigned(), "both have leases")
    bench.cluster.kick(zombie.log)
    for n in range(1, 9):
        bench.send(Put(thing="a", n=n))
        bench.send(Put(thing="b", n=n))
    await bench.until(lambda: len(bench.done().get("b", ())) == 8 and len(bench.done().get("a", ())) == 9, "results")
    await heir.stop()
    await zombie.stop()
    assert bench.effects_of("a") == [f"PUT {n}" for n in range(9)]
    assert bench.effects_of("b") == [f"PUT {n}" for n in range(1, 9)]


async def test_a_fenced_batch_leaves_no_trace() -> None:
    """When the lease is lost in the middle, nothing of the batch is there, and its events go to the new owner."""
    bench = Bench(partitions=1)
    bench.faults.add("close", Fenced("somebody was faster"))
    bench.send(Put(thing="k", n=0, do=("set 60", "call")))
    async with bench.running():
        await bench.until(lambda: bench.done() == {"k": [0]}, "the result")
    assert bench.effects_of("k")[0] == "PUT 0"
    assert bench.effects_of("k").count("PUT 0") == 1


async def test_what_a_former_owner_owed_is_published_before_anything_new() -> None:
    """The outbox that a dead owner left is in the topic, in order, before the first result of the next owner."""
    bench = Bench(sample_config(), partitions=1)
    shard = Partition(bench.config.subscribes[0].topic, 0)
    for n in range(10):
        old = message(bench.config, Done(thing="k", n=n))
        bench.store.state.outbox[bench.store.state.new_id()] = (shard, False, pack([old]))
    bench.send(Put(thing="k", n=10))
    bench.faults.add("publish", *[None] * 4, LogUnavailable("for a moment"))
    async with bench.running():
        await bench.until(lambda: len(bench.done().get("k", ())) == 11, "all results")
    assert bench.done()["k"] == list(range(11))
    assert not bench.store.state.outbox


async def test_partitions_move_between_instances_without_losing_order() -> None:
    """While instances come and go, each event is handled once, and its results stay in order."""
    bench = Bench(partitions=4)
    async with bench.running():
        for turn in range(5):
            other = bench.instance()
            other.start()
            for n in range(20):
                bench.send(Put(thing=f"k{n % 5}", n=turn * 20 + n))
            await asyncio.sleep(0.02)
            await other.stop()
        await bench.until(lambda: sum(map(len, bench.done().values())) == 100, "all results")
    for key in range(5):
        expected = [n for n in range(100) if n % 5 == key]
        assert bench.effects_of(f"k{key}") == [f"PUT {n}" for n in expected]
        assert bench.done()[f"k{key}"] == expected


async def test_what_a_batch_owes_moves_with_the_partition_of_each_event() -> None:
    """One batch with a key's events from two topics owes each event's effects to that event's own partition.

    Two topics' partitions may have two owners: a result with the wrong one is overtaken by the next of its key.
    """
    bench = Bench(partitions=1)
    bench.faults.add("publish", *[LogUnavailable("away")] * 1_000)
    bench.send(Put(thing="k", n=0, do=("set 60",)))
    bench.send(Pat(thing="k", n=1, do=("call",)))
    bench.outside.answers = ["never arrived", *["cannot tell"] * 1_000]
    instance = bench.instance()
    instance.start()
    await bench.until(lambda: len(bench.effects()) == 2, "both effects")
    await instance.crash()
    puts, pats = (Partition(channel.topic, 0) for channel in bench.config.subscribes)
    state = bench.store.state
    owed = {shard: [Done.decode(m.value, 1).n for m in unpack(packed)] for shard, _, packed in state.outbox.values()}
    assert owed == {puts: [0], pats: [1]}
    assert [timer[0] for timer in state.timers.values()] == [puts]
    assert [call.shard for call in state.calls.values()] == [pats]


async def test_a_graceful_stop_finishes_and_gives_back() -> None:
    """A stopped instance has published what it committed, deleted it, and freed its leases."""
    bench = Bench()
    instance = bench.instance()
    instance.start()
    for n in range(50):
        bench.send(Put(thing=f"k{n}", n=n))
    await bench.until(bench.effects, "the first effects")
    await instance.stop()
    assert not bench.store.state.outbox
    assert all(row.owner is None for row in bench.store.state.offsets.values())
    assert sum(map(len, bench.done().values())) == len(bench.effects())


async def test_a_stop_with_postgres_or_kafka_away_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop waits for a while and no longer; what it could not do, the next owner does."""
    monkeypatch.setattr("orderflow_runtime.worker.worker._FLUSH_SECONDS", 0.1)
    bench = Bench(partitions=1)
    instance = bench.instance()
    instance.start()
    await bench.until(lambda: instance.worker.ready, "it is ready")
    bench.faults.add("publish", *[LogUnavailable("away")] * 100)
    bench.send(Put(thing="k", n=0))
    await bench.until(bench.effects, "the effect")
    bench.faults.add("release", StoreUnavailable("away"))
    await instance.stop()
    assert bench.owed()
    bench.faults._scripted.clear()
    async with bench.running():
        await bench.until(lambda: bench.done() == {"k": [0]}, "the result")


async def test_batches_wait_when_kafka_falls_behind() -> None:
    """While nothing can be published, only so many batches are taken in; then all goes on."""
    bench = Bench(partitions=1)
    gate = asyncio.Event()
    async with bench.running() as instance:
        publish = instance.log.publish

        async def wait(messages: list[Message]) -> None:
            await gate.wait()
            await publish(messages)

        instance.log.publish = wait  # type: ignore[method-assign, assignment]  # a log that hangs
        for n in range(60):
            bench.send(Put(thing=f"k{n}", n=n))
            await asyncio.sleep(0.005)
        assert len(bench.store.state.outbox) < 30
        assert len(bench.effects()) < 60, "events wait in Kafka"
        gate.set()
        await bench.until(lambda: sum(map(len, bench.done().values())) == 60, "all results")


async def test_a_topic_made_anew_is_read_from_its_start() -> None:
    """Where the stored offset is beyond the topic's end, the new topic's events are all handled."""
    bench = Bench(partitions=1)
    for n in range(20):
        bench.send(Put(thing="k", n=n))
    async with bench.running():
        await bench.until(lambda: len(bench.effects()) == 20, "the old topic's effects")
    bench.cluster.records.clear()
    for n in range(20, 25):
        bench.send(Put(thing="k", n=n))
    async with bench.running():
        await bench.until(lambda: len(bench.effects()) == 25, "the new topic's effects")
    assert bench.effects_of("k") == [f"PUT {n}" for n in range(25)]


async def test_a_topic_made_anew_and_filled_beyond_the_offset_is_read_from_its_start() -> None:
    """Its id tells; what comes again of the old events takes no effect, and the next start goes on where this ended."""
    bench = Bench(partitions=1)
    topic = bench.config.subscribes[0].topic
    bench.cluster.make_anew(topic)
    for n in range(20):
        bench.send(Put(thing="k", n=n), event_id=f"of-{n}")
    async with bench.running():
        await bench.until(lambda: len(bench.effects()) == 20, "the old topic's effects")
    bench.cluster.make_anew(topic)
    for n in range(10, 60):
        bench.send(Put(thing="k", n=n), event_id=f"of-{n}")
    async with bench.running():
        await bench.until(lambda: len(bench.effects()) == 60, "the new topic's effects")
    assert bench.effects_of("k") == [f"PUT {n}" for n in range(60)]
    stored = bench.store.state.offsets[Partition(topic, 0)].next
    assert (stored.offset, stored.topic_id) == (50, bench.cluster.ids[topic])


async def test_a_topics_id_is_stored_before_anything_is_read_of_it() -> None:
    """An instance that has handled nothing yet leaves behind what its offsets are offsets of."""
    bench = Bench(partitions=1)
    topic = bench.config.subscribes[0].topic
    bench.cluster.make_anew(topic)
    async with bench.running() as instance:
        await bench.until(lambda: instance.worker.ready, "it is ready")
    assert bench.store.state.offsets[Partition(topic, 0)].next == Position(0, bench.cluster.ids[topic])


async def test_no_lag_is_left_behind_offsets_without_a_record() -> None:
    """Ends of transactions are passed, with an event before them or alone, for our own lag and for lag tools."""
    bench = Bench(partitions=1)
    topic = bench.config.subscribes[0].topic
    bench.cluster.end_transaction(topic)
    async with bench.running() as instance:
        await bench.until(lambda: instance.log.reported.get(Partition(topic, 0)) == 1, "the marker is passed")
        bench.send(Put(thing="k", n=1))
        bench.cluster.end_transaction(topic)
        await bench.until(lambda: instance.log.reported.get(Partition(topic, 0)) == 3, "the event and its marker too")
        assert not any(instance.worker.lag().values())
    assert bench.store.state.offsets[Partition(topic, 0)].next.offset == 3


async def test_readiness_means_that_all_that_is_assigned_is_leased() -> None:
    """An instance is ready when the leases of its partitions are its own, and reports how far it is."""
    bench = Bench()
    bench.faults.add("acquire", *[StoreUnavailable("away")] * 3)
    instance = bench.instance()
    assert not instance.worker.ready
    instance.start()
    await bench.until(lambda: len(bench.faults.seen) > 2, "it tries")
    assert not instance.worker.ready
    await bench.until(lambda: instance.worker.ready, "it is ready")
    assert set(instance.worker.owned()) == instance.log.assigned()
    record = bench.send(Put(thing="k", n=0))
    await bench.until(lambda: instance.log.reported.get(record.partition) == 1, "it reports")
    await instance.stop()


@pytest.mark.parametrize("all_after", [3600.0, 0.0], ids=["what moved", "all, now and then"])
async def test_at_rest_offsets_are_told_once_and_then_seldom(monkeypatch: pytest.MonkeyPatch, all_after: float) -> None:
    """What Kafka has been told costs it no write every second; it is told again later, in case it was lost."""
    monkeypatch.setattr(worker, "_REPORT_EVERY_SECONDS", 0.001)
    monkeypatch.setattr(worker, "_REPORT_ALL_SECONDS", all_after)
    monkeypatch.setattr(batch_source, "_POLL_SECONDS", 0.001)
    bench, told = Bench(), list[Mapping[Partition, int]]()
    instance = bench.instance()

    async def listen(offsets: Mapping[Partition, int]) -> None:
        told.append(offsets)

    monkeypatch.setattr(instance.log, "report", listen)
    instance.start()
    record = bench.send(Put(thing="k", n=0))
    await bench.until(lambda: any(offsets.get(record.partition) == 1 for offsets in told), "it reports")
    before, looks = len(told), bench.faults.seen.count("fetch")
    await bench.until(lambda: bench.faults.seen.count("fetch") > looks + 20, "it has looked twenty times more")
    again = [offsets.keys() for offsets in told[before:]]
    assert again == [instance.log.assigned()] * len(again)
    assert bool(again) == (all_after == 0)
    await instance.stop()


async def test_a_batch_that_does_not_end_is_a_stall_and_an_idle_instance_is_not() -> None:
    """Liveness looks at the batch in its transaction alone."""
    bench = Bench(sample_config(timeout_ms=60_000))
    gate = asyncio.Event()
    bench.script.pause = gate.wait  # type: ignore[assignment]  # a pause by hand
    async with bench.running() as instance:
        await asyncio.sleep(0.05)
        assert instance.worker.stalled_for == 0
        bench.send(Put(thing="k", n=0))
        await bench.until(lambda: instance.worker.stalled_for > 0.05, "it stalls")
        gate.set()
        await bench.until(bench.effects, "the effect")
        await bench.until(lambda: instance.worker.stalled_for == 0, "it goes on")


async def test_what_waits_for_topics_no_longer_subscribed_is_adopted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was owed, parked or set under a topic that the service dropped is not forgotten."""
    monkeypatch.setattr("orderflow_runtime.worker.worker._ADOPT_EVERY_SECONDS", 0.05)
    bench = Bench(partitions=2)
    gone = Partition("gone", 5)
    old = message(bench.config, Done(thing="k", n=7))
    bench.store.state.outbox[bench.store.state.new_id()] = (gone, False, pack([old]))
    bench.store.state.timers["k", "alarm"] = (gone, 0.0, b'{"n": 3}', None)
    async with bench.running():
        await bench.until(lambda: bench.done().get("k") == [7, -1], "what was left is done")
        bench.send(Pat(thing="k", n=1))
        await bench.until(lambda: bench.effects_of("k") == ["timer 3", "PAT 1"], "all goes on")


async def test_a_cancellation_that_nobody_asked_for_is_no_end_in_good_order() -> None:
    """A library that lets the cancellation of a task of its own out ends the worker loudly, and not as a stop does."""
    bench = Bench(partitions=1)
    bench.faults.add("fetch", asyncio.CancelledError())
    instance = bench.instance()
    instance.start()
    assert instance.run is not None
    await asyncio.wait({instance.run}, timeout=20)
    assert instance.run.cancelled()


async def test_a_worker_that_cannot_publish_can_be_stopped() -> None:
    """While Kafka is away a stop ends in time, gives the lease back, and leaves what is owed to the next owner."""
    bench = Bench(partitions=1)

    def away(step: str) -> None:
        if step == "publish":
            raise LogUnavailable("away")

    bench.faults.always = away
    instance = bench.instance()
    instance.start()
    for n in range(40):
        bench.send(Put(thing="k", n=n))
        await asyncio.sleep(0.005)
    await bench.until(bench.effects, "the first effect")
    instance.stopping.set()
    instance.source.wake()
    assert instance.run is not None
    await asyncio.wait_for(instance.run, 20)
    bench.faults.always = lambda _: None
    async with bench.running():
        await bench.until(lambda: len(bench.done().get("k", ())) == 40, "all results, from the next owner")
    assert bench.done()["k"] == list(range(40))
    assert bench.effects_of("k") == [f"PUT {n}" for n in range(40)]
