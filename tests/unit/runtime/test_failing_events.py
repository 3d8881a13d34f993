"""An event that fails holds up its own key alone, is tried as often as the resource says, and never more."""

import asyncio
from dataclasses import replace

import pytest

from orderflow_contracts.dead_letters import ATTEMPTS
from orderflow_runtime.core.store import Conflict, StoreUnavailable
from support.runtime.running import Bench
from support.runtime.sample_service import Pat, Put, Refused, sample_config


async def test_a_batch_is_split_until_the_culprit_stands_alone() -> None:
    """Of 64 events in one batch the one that fails is parked; the others commit with it, in few handler calls."""
    bench = Bench(sample_config(delay_ms=60_000, max_delay_ms=60_000), partitions=1)
    for n in range(64):
        bench.send(Put(thing=f"k{n}", n=n))
    bench.script.refuse["k37", 37] = 100
    async with bench.running():
        await bench.until(lambda: len(bench.effects()) == 63, "the others' effects")
        assert bench.faults.seen.count("committed") == 1, "all in one transaction"
    assert [row.key for row, _, _ in bench.store.state.parked.values()] == ["k37"]
    assert len(bench.script.sizes) <= 2 + 2 * 6, "one whole run, then halves"
    assert not bench.effects_of("k37"), "what its handler wrote before it failed is undone"


async def test_several_culprits_are_found_in_one_transaction() -> None:
    """Every event that fails is parked, wherever they stand, and all others commit."""
    bench = Bench(sample_config(delay_ms=60_000, max_delay_ms=60_000), partitions=1)
    culprits = {0, 1, 7, 30, 31}
    for n in range(32):
        bench.send(Put(thing=f"k{n}", n=n))
        bench.script.refuse[f"k{n}", n] = 100 if n in culprits else 0
    async with bench.running():
        await bench.until(lambda: len(bench.effects()) == 32 - len(culprits), "the others' effects")
    assert {row.key for row, _, _ in bench.store.state.parked.values()} == {f"k{n}" for n in culprits}


async def test_later_events_of_a_parked_key_wait_in_order_while_others_go_on() -> None:
    """A key whose event is parked loses no order, and no other key waits for it."""
    bench = Bench(sample_config(delay_ms=80, max_delay_ms=80), partitions=1)
    bench.script.refuse["k", 0] = 4
    for n in range(5):
        bench.send(Put(thing="k", n=n))
        bench.send(Put(thing="other", n=n))
    async with bench.running():
        await bench.until(lambda: len(bench.effects_of("other")) == 5, "the other key's effects")
        assert not bench.effects_of("k")
        for n in range(5, 8):
            bench.send(Put(thing="k", n=n))
        await bench.until(lambda: len(bench.effects_of("k")) == 8, "the parked key's effects")
    assert bench.effects_of("k") == [f"PUT {n}" for n in range(8)]
    assert bench.done()["k"] == list(range(8))
    assert not bench.store.state.parked


async def test_what_a_failing_event_began_is_undone() -> None:
    """Timers and calls of an event whose handler fails are taken back with its statements."""
    bench = Bench(sample_config(retries=0), partitions=1)
    bench.script.refuse["k", 0] = 100
    bench.send(Put(thing="k", n=0, do=("call", "set 0.001")))
    bench.send(Put(thing="other", n=1))
    async with bench.running():
        await bench.until(bench.letters, "the dead letter")
        await asyncio.sleep(0.05)
    assert bench.effects() == [("other", "PUT 1")]
    assert not bench.outside.performed


async def test_followers_go_on_when_the_first_is_given_up() -> None:
    """Once an event is in the dead letters, those that waited behind it are handled."""
    bench = Bench(sample_config(retries=1), partitions=1)
    bench.script.refuse["k", 0] = 100
    for n in range(4):
        bench.send(Put(thing="k", n=n))
    async with bench.running():
        await bench.until(lambda: len(bench.effects_of("k")) == 3, "the followers")
    assert bench.effects_of("k") == ["PUT 1", "PUT 2", "PUT 3"]
    assert len(bench.letters()) == 1


@pytest.mark.parametrize("retries", [0, 1, 3])
async def test_an_event_is_tried_once_and_so_often_again(retries: int) -> None:
    """With N retries an event has N + 1 attempts; each runs its handler under a savepoint of its own."""
    bench = Bench(sample_config(retries=retries))
    bench.script.refuse["k", 0] = 100
    bench.send(Put(thing="k", n=0))
    async with bench.running():
        await bench.until(bench.letters, "the dead letter")
    assert bench.letters()[0][ATTEMPTS] == b"%d" % (retries + 1)
    assert len(bench.script.tried) == retries + 2, "the first attempt began as part of a whole batch"


async def test_crashes_neither_add_nor_forget_attempts() -> None:
    """An instance that dies between attempts, or in the middle of one, leaves the count as it was."""
    time = [0.0]  # stands still, so that nothing is due again before we look
    bench = Bench(sample_config(retries=4), now=lambda: time[0])
    bench.script.refuse["k", 0] = 1_000
    bench.send(Put(thing="k", n=0))
    for attempt in range(1, 5):
        instance = bench.instance()
        instance.start()
        await bench.until(lambda at=attempt: attempts(bench) == at, f"attempt {attempt}")
        if attempt % 2:
            await in_the_middle_of_the_next(bench, time)
        await instance.crash()
        assert attempts(bench) == attempt
        time[0] += 60
    async with bench.running():
        await bench.until(bench.letters, "the dead letter")
    assert bench.letters()[0][ATTEMPTS] == b"5"


async def in_the_middle_of_the_next(bench: Bench, time: list[float]) -> None:
    """Let the handler begin, of an attempt that is not committed."""
    tried = len(bench.script.tried)
    bench.faults.add("commit", StoreUnavailable("it was rolled back"))
    time[0] += 60
    await bench.until(lambda: len(bench.script.tried) > tried, "the handler has begun")


def attempts(bench: Bench) -> int:
    """The stored attempts of what is parked first."""
    return next((row.attempts for row, _, _ in bench.store.state.parked.values()), 0)


async def test_a_rebalance_does_not_count_as_an_attempt() -> None:
    """A parked event that moves to another instance is tried as often as if it had stayed."""
    bench = Bench(sample_config(retries=6, delay_ms=20, max_delay_ms=20))
    bench.script.refuse["k", 0] = 1_000
    bench.send(Put(thing="k", n=0))
    async with bench.running():
        for _ in range(4):
            other = bench.instance()
            other.start()
            await asyncio.sleep(0.03)
            await other.stop()
        await bench.until(bench.letters, "the dead letter")
    assert bench.letters()[0][ATTEMPTS] == b"7"


async def test_deadlocks_run_the_batch_again_and_are_no_attempt() -> None:
    """However many conflicts Postgres reports, the event is handled once and nothing is parked."""
    bench = Bench(sample_config(retries=0))
    bench.faults.add("close", *[Conflict("deadlock detected")] * 7)
    bench.send(Put(thing="k", n=0))
    async with bench.running():
        await bench.until(bench.effects, "the effect")
    assert bench.effects() == [("k", "PUT 0")]
    assert not bench.letters()


async def test_endless_conflicts_take_everything_anew() -> None:
    """A batch that conflicts too often is given up, its leases are taken anew, and it is handled in the end."""
    bench = Bench(sample_config(retries=0))
    bench.faults.add("begin", *[Conflict("could not serialize access")] * 25)
    bench.send(Put(thing="k", n=0))
    async with bench.running():
        await bench.until(bench.effects, "the effect")
    assert bench.effects() == [("k", "PUT 0")]
    assert max(row.epoch for row in bench.store.state.offsets.values()) == 2


async def test_a_handler_that_hangs_is_an_attempt() -> None:
    """A handler that does not come back within its time-out has failed like any other."""
    bench = Bench(sample_config(retries=0, timeout_ms=100), partitions=1)

    async def hang() -> None:
        await asyncio.sleep(60)

    bench.script.pause = hang
    bench.send(Put(thing="k", n=0))
    async with bench.running():
        await bench.until(bench.letters, "the dead letter")
    assert not bench.effects()


async def test_a_blocking_service_keeps_the_key_for_as_long_as_it_takes() -> None:
    """With onExhausted: Block nothing goes to the dead letters, and order is kept until the event is taken."""
    bench = Bench(sample_config(retries=1, on_exhausted="Block"), partitions=1)
    bench.script.refuse["k", 0] = 10
    for n in range(3):
        bench.send(Put(thing="k", n=n))
    async with bench.running():
        await bench.until(lambda: len(bench.effects_of("k")) == 3, "all effects")
    assert bench.effects_of("k") == ["PUT 0", "PUT 1", "PUT 2"]
    assert not bench.letters()


async def test_a_key_parked_by_one_topic_holds_up_its_events_of_another() -> None:
    """What a service hears of a key waits behind what it could not take of that key, whatever the topic."""
    bench = Bench(sample_config(delay_ms=100, max_delay_ms=100), partitions=1)
    bench.script.refuse["k", 0] = 2
    bench.send(Put(thing="k", n=0))
    async with bench.running():
        await bench.until(lambda: bench.store.state.parked, "it is parked")
        bench.send(Pat(thing="k", n=1))
        await bench.until(lambda: len(bench.effects_of("k")) == 2, "both effects")
    assert bench.effects_of("k") == ["PUT 0", "PAT 1"]


async def test_a_failure_outside_handlers_ends_the_process() -> None:
    """An error that no event is to blame for is not put on one: the instance ends, and nothing is lost."""
    bench = Bench()
    bench.faults.add("close", ValueError("the runtime is wrong"), ValueError("again"))
    bench.send(Put(thing="k", n=0))
    instance = bench.instance()
    instance.start()
    assert instance.run is not None
    with pytest.raises(ValueError, match="again"):
        await asyncio.wait_for(instance.run, 10)
    await instance.crash()
    assert not bench.effects()
    async with bench.running():
        await bench.until(bench.effects, "the effect")


async def test_a_parked_event_that_this_version_cannot_read_is_given_up() -> None:
    """After a change of code a parked event may be unreadable: it becomes a letter, and its key goes on."""
    bench = Bench(sample_config(delay_ms=60_000, max_delay_ms=60_000), partitions=1)
    bench.script.refuse["k", 0] = 2
    bench.send(Put(thing="k", n=0))
    async with bench.running():
        await bench.until(lambda: bench.store.state.parked, "it is parked")
    ((number, (row, reason, _)),) = bench.store.state.parked.items()
    bench.store.state.parked[number] = (replace(row, type="GONE"), reason, 0.0)
    bench.send(Put(thing="k", n=1))
    async with bench.running():
        await bench.until(lambda: bench.effects_of("k") == ["PUT 1"], "what came after")
    assert len(bench.letters()) == 1


def test_refusals_are_what_the_script_says() -> None:
    """The tests' own script fails as often as it is told."""
    bench = Bench()
    bench.script.refuse["k", 0] = 1
    with pytest.raises(Refused):
        bench.script.check("k", 0)
    bench.script.check("k", 0)
