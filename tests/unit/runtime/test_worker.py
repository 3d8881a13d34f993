"""What the worker promises, over the memory ports: order by key, effects once, takeover, fencing, graceful stop."""

from orderflow_runtime.store import StoreUnavailable
from support.running import Bench
from support.tiny import Put


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


async def test_a_lost_commit_answer_does_not_double_effects() -> None:
    """When the commit happened and its answer did not come, the events are not handled again."""
    bench = Bench()
    bench.faults.add("committed", StoreUnavailable("the answer is lost"))
    bench.send(Put(thing="k", n=1))
    async with bench.running():
        await bench.until(lambda: bench.done() == {"k": [1]}, "the result, published from the outbox left behind")
    assert bench.effects() == [("k", "PUT 1")]
