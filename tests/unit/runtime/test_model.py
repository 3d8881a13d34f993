"""A model test: events, failing handlers, faults and crashes at random; each effect must come out once and in order."""

import asyncio
from collections import Counter
from contextlib import ExitStack
from random import Random
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orderflow_runtime.core.event_log import LogUnavailable
from orderflow_runtime.core.store import Conflict, StoreUnavailable
from orderflow_runtime.testing.faults import Faults
from support.runtime.running import Bench, Instance
from support.runtime.sample_service import Pat, Put, sample_config

STORE_STEPS = ("begin", "open", "claim", "close", "commit", "committed", "acquire", "backlog", "due", "release", "note")
LOG_STEPS = ("resume", "fetch", "publish", "published", "start")
QUICK = {
    "worker.batch_source._POLL_SECONDS": 0.02,
    "worker.worker._LONGEST_WAIT_SECONDS": 0.05,
    "worker.worker._FLUSH_SECONDS": 0.1,
    "dispatch.publications._FIRST_WAIT_SECONDS": 0.005,
    "dispatch.publications._LONGEST_WAIT_SECONDS": 0.02,
}
"""Waits that would only make the test slow."""
ENDINGS = ("stop", "crash", "kick")


class Chaos:
    """Faults by chance: with `often` in a hundred at every step, from a seed, until it is over."""

    def __init__(self, faults: Faults, seed: int, often: int) -> None:
        self._random = Random(seed)
        self._often = often
        faults.always = self.at

    def at(self, step: str) -> None:
        """Fail by chance."""
        if self._random.randrange(100) >= self._often:
            return
        if step in LOG_STEPS:
            raise LogUnavailable(step)
        if step in STORE_STEPS:
            again = step in ("open", "claim", "close") and self._random.random() < 0.5
            raise Conflict(step) if again else StoreUnavailable(step)

    def end(self) -> None:
        """Let all go well from now on."""
        self._often = 0


events = st.tuples(st.integers(0, 3), st.booleans(), st.sampled_from([(), (), ("call",), ("set 0.001",)]))
moves = st.one_of(events, events, events, st.sampled_from(["start", *ENDINGS, "repeat"]))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    plan=st.lists(moves, min_size=30, max_size=80),
    refused=st.dictionaries(st.integers(0, 40), st.integers(1, 4), min_size=3, max_size=8),
    seed=st.integers(0, 2**32),
    often=st.sampled_from([1, 4, 10]),
)
def test_every_effect_happens_once_and_in_order(plan: list, refused: dict[int, int], seed: int, often: int) -> None:  # type: ignore[type-arg]  # steps of any kind
    """Nothing is lost, nothing doubled, no key out of order, whatever fails and whoever dies, and whenever."""
    with ExitStack() as stack:
        for name, seconds in QUICK.items():
            stack.enter_context(patch(f"orderflow_runtime.{name}", seconds))
        asyncio.run(Run(seed, often, refused).play(plan))


class Run:
    """One history. Every event's `n` is its number."""

    def __init__(self, seed: int, often: int, refused: dict[int, int]) -> None:
        self.bench = Bench(sample_config(retries=50, delay_ms=1, max_delay_ms=3), partitions=2)
        self.chaos = Chaos(self.bench.faults, seed, often)
        self.refused = refused
        self.sent: list[Put | Pat] = []
        self.live: list[Instance] = []
        self.random = Random(seed)

    async def play(self, plan: list) -> None:  # type: ignore[type-arg]  # steps of any kind
        """Make the moves, let all come to rest, and check."""
        self.start()
        for move in plan:
            await (self.act(move) if isinstance(move, str) else self.send(*move))
            await asyncio.sleep(self.random.choice((0, 0, 0.001, 0.003, 0.01)))
        self.chaos.end()
        if not any(i.log in self.bench.cluster.groups[i.log.group] for i in self.live):
            self.start()
        await self.bench.until(self.at_rest, "all is at rest", 20)
        for instance in self.live:
            await instance.stop()
        self.check()

    def start(self) -> None:
        """Start one more instance."""
        instance = self.bench.instance()
        instance.start()
        self.live.append(instance)

    async def send(self, key: int, other: bool, do: tuple[str, ...]) -> None:
        """Send an event."""
        n = len(self.sent)
        event = (Pat if other else Put)(thing=f"k{key}", n=n, do=do)
        self.bench.script.refuse[event.thing, n] = self.refused.get(n, 0)
        self.sent.append(event)
        self.bench.send(event, event_id=f"e{n}")

    async def act(self, move: str) -> None:
        """Start or end an instance, or repeat a record."""
        if move == "start" and len(self.live) < 3:
            self.start()
        elif move == "repeat" and self.sent:
            event = self.random.choice(self.sent)
            self.bench.send(event, event_id=f"e{event.n}")
        elif move in ENDINGS and self.live:
            instance = self.random.choice(self.live)
            if move == "kick":
                self.bench.cluster.kick(instance.log)
                return
            self.live.remove(instance)
            await (instance.stop() if move == "stop" else instance.crash())
            await self.bench.cluster.rebalance(instance.log.group)

    def at_rest(self) -> bool:
        """Whether all is handled and nothing is owed but what has been published."""
        state = self.bench.store.state
        handled = Counter(what for _, what in self.bench.effects())
        waiting = state.parked or state.timers or state.calls
        published = sum(map(len, self.bench.done().values()))
        fired = sum("timer" in what for what in handled.elements())
        return (
            not waiting and all(handled[f"{e.TYPE} {e.n}"] for e in self.sent) and published == len(self.sent) + fired
        )

    def check(self) -> None:
        """The oracles."""
        effects = Counter(self.bench.effects())
        for event in self.sent:
            assert effects[event.thing, f"{event.TYPE} {event.n}"] == 1
            assert effects[event.thing, f"outcome {event.n}"] == event.do.count("call")
            assert effects[event.thing, f"timer {event.n}"] <= event.do.count("set 0.001")
        for key in {event.thing for event in self.sent}:
            for kind in (Put, Pat):
                order = [e.n for e in self.sent if e.thing == key and isinstance(e, kind)]
                done = self.bench.effects_of(key)
                assert [what for what in done if what.startswith(kind.TYPE)] == [f"{kind.TYPE} {n}" for n in order]
                assert [n for n in self.bench.done()[key] if n in order] == order
        assert not self.bench.letters()
        assert len(set(self.bench.outside.done)) == sum(e.do.count("call") for e in self.sent)
