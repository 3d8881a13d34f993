"""Calls to the outside: performed after commit, their outcome handled once, and nothing ever assumed."""

import asyncio
from dataclasses import replace

import pytest

from orderflow_contracts.dead_letters import ATTEMPTS
from orderflow_runtime.core.event_log import Partition
from orderflow_runtime.core.store import BatchWrites, CallRow, StoreUnavailable
from support.runtime.running import Bench
from support.runtime.sample_service import Put, sample_config


def called(bench: Bench, n: int = 1) -> None:
    """Send an event whose handler makes a call."""
    bench.send(Put(thing="k", n=n, do=("call",)))


async def test_a_call_is_performed_once_and_its_outcome_handled_once() -> None:
    """After the commit of its intent the call is made, and its outcome enters a later batch."""
    bench = Bench()
    called(bench)
    async with bench.running():
        await bench.until(lambda: "outcome 1" in bench.effects_of("k"), "the outcome")
    assert bench.effects_of("k") == ["PUT 1", "outcome 1"]
    assert bench.outside.performed == ["k:1"]
    assert not bench.outside.asked
    assert not bench.store.state.calls


async def test_a_call_is_not_made_when_its_batch_rolls_back() -> None:
    """What the handler intended in a transaction that did not commit is not done."""
    bench = Bench(sample_config(retries=0))
    bench.send(Put(thing="k", n=1, do=("call",)))
    bench.faults.add("close", StoreUnavailable("gone"))
    seen: list[int] = []
    bench.faults.always = lambda step: seen.append(len(bench.outside.performed)) if step == "begin" else None
    async with bench.running():
        await bench.until(lambda: "outcome 1" in bench.effects_of("k"), "the outcome")
    assert seen[:2] == [0, 0]
    assert bench.outside.performed == ["k:1"]


async def test_a_lost_answer_is_asked_for_and_not_performed_again() -> None:
    """When a call happened and its answer was lost, the answer is looked up by the same key."""
    bench = Bench()
    bench.outside.answers = ["lost"]
    called(bench)
    async with bench.running():
        await bench.until(lambda: "outcome 1" in bench.effects_of("k"), "the outcome")
    assert bench.outside.performed == ["k:1"]
    assert bench.outside.asked == ["k:1"]


async def test_a_call_that_surely_never_arrived_is_performed() -> None:
    """When the outside does not know the key, the call is made with it again."""
    bench = Bench()
    bench.outside.answers = ["never arrived"]
    called(bench)
    async with bench.running():
        await bench.until(lambda: "outcome 1" in bench.effects_of("k"), "the outcome")
    assert bench.outside.performed == ["k:1", "k:1"]
    assert bench.outside.asked == ["k:1"]


async def test_an_unknown_outcome_is_asked_for_until_it_is_known() -> None:
    """Far beyond an event's retries a call without outcome is neither given up nor assumed."""
    bench = Bench(sample_config(retries=1))
    bench.outside.answers = ["lost"] + ["cannot tell"] * 12
    called(bench)
    async with bench.running():
        await bench.until(lambda: "outcome 1" in bench.effects_of("k"), "the outcome")
    assert bench.outside.performed == ["k:1"]
    assert len(bench.outside.asked) == 13
    assert not bench.letters()


@pytest.mark.parametrize("fault", [RuntimeError("a bug"), TimeoutError(), StoreUnavailable("odd")])
async def test_any_error_of_a_port_is_an_unknown_outcome(fault: Exception) -> None:
    """A port that fails in a way it did not mean to has left the outcome unknown as well."""
    bench = Bench()
    perform, failed = bench.outside.perform, []

    async def fail_first(request: dict[str, object], idempotency_key: str) -> dict[str, object]:
        if not failed:
            failed.append(1)
            raise fault
        return await perform(request, idempotency_key)

    bench.outside.perform = fail_first  # type: ignore[method-assign]  # an outside that behaves otherwise
    called(bench)
    async with bench.running():
        await bench.until(lambda: "outcome 1" in bench.effects_of("k"), "the outcome")
    assert bench.outside.asked == ["k:1"]


async def test_a_port_that_hangs_is_asked_after_its_time_out() -> None:
    """A call that does not come back within the time-out has an unknown outcome."""
    bench = Bench(sample_config(timeout_ms=100))
    perform, hung = bench.outside.perform, []

    async def hang_first(request: dict[str, object], idempotency_key: str) -> dict[str, object]:
        answer = await perform(request, idempotency_key)
        if not hung:
            hung.append(1)
            await asyncio.sleep(60)
        return answer

    bench.outside.perform = hang_first  # type: ignore[method-assign]  # an outside that behaves otherwise
    called(bench)
    async with bench.running():
        await bench.until(lambda: "outcome 1" in bench.effects_of("k"), "the outcome")
    assert bench.outside.performed == ["k:1"]


async def test_attempts_of_a_call_are_stored_and_survive_postgres_being_away() -> None:
    """Every attempt without outcome is noted, and one that cannot be noted stops nothing."""
    bench = Bench(sample_config(delay_ms=20, max_delay_ms=20))
    bench.outside.answers = ["never arrived", "cannot tell", "cannot tell"]
    bench.faults.add("note", None, StoreUnavailable("away"))
    noted: list[int] = []
    bench.faults.always = lambda _: noted.extend(c.attempts for c in bench.store.state.calls.values())
    called(bench)
    async with bench.running():
        await bench.until(lambda: "outcome 1" in bench.effects_of("k"), "the outcome")
    assert max(noted) == 2


async def test_an_instance_that_dies_after_the_call_leaves_it_to_be_asked_for() -> None:
    """The next owner asks before it performs: the outside is used once."""
    bench = Bench()
    called(bench)
    bench.faults.add("claim", *[StoreUnavailable("away")] * 50)
    instance = bench.instance()
    instance.start()
    await bench.until(lambda: bench.outside.performed, "the call")
    await instance.crash()
    bench.faults._scripted.clear()
    async with bench.running():
        await bench.until(lambda: "outcome 1" in bench.effects_of("k"), "the outcome")
    assert bench.outside.performed == ["k:1"]
    assert bench.outside.asked
    assert bench.effects_of("k") == ["PUT 1", "outcome 1"]


async def test_an_outcome_whose_handler_fails_is_retried_and_given_up_like_an_event() -> None:
    """The call is not made again for it; after its last attempt its request and result are in the dead letters."""
    bench = Bench(sample_config(retries=1))
    bench.script.refuse["k", -2] = 100
    called(bench)
    async with bench.running():
        await bench.until(bench.letters, "the dead letter")
    (letter,) = bench.letters()
    assert (letter["value"], letter[ATTEMPTS]) == (b'{"request":{"n":1},"result":{"for":1}}', b"2")
    assert bench.outside.performed == ["k:1"]
    assert not bench.store.state.calls


async def test_a_slow_outside_stops_the_intake_of_events() -> None:
    """With too many calls under way no more records are fetched until outcomes come."""
    bench = Bench(sample_config(timeout_ms=60_000), partitions=1)
    gate = asyncio.Event()
    perform = bench.outside.perform

    async def wait(request: dict[str, object], idempotency_key: str) -> dict[str, object]:
        await gate.wait()
        return await perform(request, idempotency_key)

    bench.outside.perform = wait  # type: ignore[method-assign]  # an outside that behaves otherwise
    for n in range(2_500):
        bench.send(Put(thing=f"k{n}", n=n, do=("call",)))
    async with bench.running() as instance:
        await bench.until(lambda: instance.outbound_calls.waiting >= 1_000, "many calls under way")
        await asyncio.sleep(0.3)
        assert len(bench.store.state.calls) <= 1_500
        gate.set()
        await bench.until(lambda: sum("outcome" in w for _, w in bench.effects()) == 2_500, "all outcomes", 30)
    assert len(set(bench.outside.performed)) == len(bench.outside.performed) == 2_500


async def test_what_a_command_of_another_instance_asked_for_is_performed_once() -> None:
    """Nobody tells who has the shard: it looks, and what is under way or answered meanwhile is not begun again."""
    bench = Bench()
    instance = bench.instance(calls_by_commands=True)
    instance.start()
    await bench.until(lambda: instance.worker.ready, "it works")
    shard = Partition(bench.config.subscribes[0].topic, 0)
    call = CallRow("k:7", shard, "outside", "k", b'{"n": 7}')
    async with bench.store.intake_transaction() as tx:
        await tx.close(BatchWrites(intake=True, calls=[call]))
    await bench.until(lambda: bench.effects_of("k"), "the outcome", 10)
    instance.worker.begin_calls([call])
    instance.worker.begin_calls([call])
    elsewhere = replace(call, id="k:8", shard=Partition("not ours", 0))
    instance.worker.begin_calls([elsewhere])
    await bench.until(lambda: not instance.outbound_calls.waiting, "all is known")
    await instance.stop()
    assert bench.effects_of("k") == ["outcome 7"]
    assert bench.outside.performed[:1] == ["k:7"]
    assert "k:8" not in bench.outside.performed
