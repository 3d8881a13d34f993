"""Timers: set with a batch, fired once when due by the database's clock, moved, cancelled, retried like events."""

import asyncio

from orderflow_contracts.dead_letters import ATTEMPTS
from support.runtime.running import Bench
from support.runtime.sample_service import Put, sample_config


async def test_a_timer_fires_once_and_publishes() -> None:
    """A timer's handler runs once, after its time, and what it gives back is published."""
    bench = Bench()
    bench.send(Put(thing="k", n=1, do=("set 0.05",)))
    async with bench.running():
        await bench.until(lambda: bench.done() == {"k": [1, -1]}, "the timer's event")
        await asyncio.sleep(0.1)
    assert bench.effects_of("k") == ["PUT 1", "timer 1"]
    assert not bench.store.state.timers


async def test_a_timer_set_again_moves() -> None:
    """Of two times for one name and key only the later word counts."""
    bench = Bench(partitions=1)
    bench.send(Put(thing="k", n=1, do=("set 60",)))
    bench.send(Put(thing="k", n=2, do=("set 0.02",)))
    async with bench.running():
        await bench.until(lambda: "timer 2" in bench.effects_of("k"), "the moved timer")
    assert bench.effects_of("k") == ["PUT 1", "PUT 2", "timer 2"]


async def test_a_cancelled_timer_does_not_fire() -> None:
    """A timer that is taken back before its time is gone."""
    bench = Bench(partitions=1)
    bench.send(Put(thing="k", n=1, do=("set 0.05",)))
    bench.send(Put(thing="k", n=2, do=("cancel",)))
    async with bench.running():
        await bench.until(lambda: len(bench.effects_of("k")) == 2, "both events")
        await asyncio.sleep(0.1)
    assert bench.effects_of("k") == ["PUT 1", "PUT 2"]


async def test_a_timer_moved_while_it_was_gathered_is_left_for_its_new_time() -> None:
    """A due timer that another transaction moves before the batch claims it does not fire early."""
    now = [0.0]
    bench = Bench(now=lambda: now[0])
    bench.send(Put(thing="k", n=1, do=("set 5",)))
    async with bench.running():
        await bench.until(lambda: bench.store.state.timers, "it is set")

        def move(step: str) -> None:
            if step == "begin" and now[0] == 6:
                shard, _, payload, trace = bench.store.state.timers["k", "alarm"]
                bench.store.state.timers["k", "alarm"] = (shard, 10.0, payload, trace)

        bench.faults.always = move
        now[0] = 6
        await bench.until(lambda: bench.store.state.timers["k", "alarm"][1] == 10, "it is moved")
        await asyncio.sleep(0.05)
        assert bench.effects_of("k") == ["PUT 1"]
        now[0] = 11
        await bench.until(lambda: "timer 1" in bench.effects_of("k"), "it fires")
    assert bench.effects_of("k") == ["PUT 1", "timer 1"]


async def test_a_timer_whose_handler_fails_is_tried_again_and_given_up_like_an_event() -> None:
    """A failing timer is parked, retried, and at last a dead letter with its payload."""
    bench = Bench(sample_config(retries=2))
    bench.script.refuse["k", -1] = 100
    bench.send(Put(thing="k", n=1, do=("set 0.01",)))
    async with bench.running():
        await bench.until(bench.letters, "the dead letter")
    (letter,) = bench.letters()
    assert (letter["key"], letter["value"], letter[ATTEMPTS]) == (b"k", b'{"n":1}', b"3")
    assert not bench.store.state.timers


async def test_a_timer_whose_handler_fails_once_still_fires() -> None:
    """A parked timer takes effect once when its handler is well again."""
    bench = Bench()
    bench.script.refuse["k", -1] = 3
    bench.send(Put(thing="k", n=1, do=("set 0.01",)))
    async with bench.running():
        await bench.until(lambda: "timer 1" in bench.effects_of("k"), "the timer's effect")
    assert bench.effects_of("k") == ["PUT 1", "timer 1"]


async def test_timers_of_a_dead_instance_fire_at_the_next() -> None:
    """A timer outlives the process that set it."""
    bench = Bench()
    bench.send(Put(thing="k", n=1, do=("set 0.2",)))
    instance = bench.instance()
    instance.start()
    await bench.until(lambda: bench.store.state.timers, "it is set")
    await instance.crash()
    async with bench.running():
        await bench.until(lambda: "timer 1" in bench.effects_of("k"), "it fires")
    assert bench.done()["k"] == [1, -1]
