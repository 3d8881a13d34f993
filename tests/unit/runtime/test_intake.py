"""Commands from HTTP: those that come together share a transaction, and one that is wrong spoils no other."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from orderflow_contracts.event import Event
from orderflow_runtime.command import Reply, TooLarge, TooManyCommandsError, UnavailableError
from orderflow_runtime.core.event_log import LogUnavailable, Message, Partition, pack
from orderflow_runtime.core.store import MOST_BEHIND, Conflict, OutboxRow, StoreUnavailable
from orderflow_runtime.dispatch import outbox_relay
from orderflow_runtime.dispatch.commands import MOST_WAITING, CommandBus, shards_of
from orderflow_runtime.dispatch.effects import Publisher
from orderflow_runtime.dispatch.outbox_relay import Relay
from orderflow_runtime.service import EventTooLargeError
from orderflow_runtime.testing.memory_log import MemoryLog
from support.runtime.running import Bench
from support.runtime.sample_service import Do, Done, Refused, sample_service

SHARDS = 3


@asynccontextmanager
async def intake(
    bench: Bench, relayed: Iterable[int] = range(SHARDS), do: Any = None, seconds: float = 30
) -> AsyncIterator[CommandBus]:
    """An intake and a relay of some of its shards, running; a handler may take so many seconds."""
    log = MemoryLog(bench.cluster, "g", ())
    log.faults = bench.faults
    owned = [Partition("first", number) for number in relayed]
    relay = Relay(bench.publications(log), bench.store, lambda: owned)
    topics: dict[type[Event], str] = {Done: bench.config.publishes[0].topic}
    handlers = sample_service(bench.script).commands | ({Do: do} if do else {})
    publisher = Publisher("/t/sample", topics, bench.clock, bench.tracer)
    taking = CommandBus(
        handlers, bench.store, publisher, relay.put, lambda _: None, lambda _: None, bench.tracer, seconds
    )
    tasks = [asyncio.create_task(taking.run(shards_of("first", SHARDS))), asyncio.create_task(relay.run())]
    yield taking
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_commands_that_come_together_share_a_transaction() -> None:
    """A hundred commands at once are a few commits, each is answered, and all results are published."""
    bench = Bench()
    async with intake(bench) as taking:
        answers = await asyncio.gather(*(taking.submit(Do(f"k{n}", n)) for n in range(100)))
        await bench.until(lambda: len(bench.done()) == 100, "all results")
    assert answers == list(range(100))
    assert bench.faults.seen.count("committed") <= 3


async def test_commands_of_one_key_keep_their_order() -> None:
    """In one group too, a key's commands run one after another, and what they publish stays in order."""
    bench = Bench()
    async with intake(bench) as taking:
        assert await taking.submit_all([Do("k", n) for n in range(20)]) == list(range(20))
        await bench.until(lambda: bench.done() == {"k": list(range(20))}, "all results in order")
    assert bench.effects_of("k") == [f"command {n}" for n in range(20)]


async def test_one_bad_command_spoils_no_other() -> None:
    """The one whose handler fails gets its error; those that came with it are committed."""
    bench = Bench()
    bench.script.refuse["k7", 7] = 100
    async with intake(bench) as taking:
        answers = await asyncio.gather(*(taking.submit(Do(f"k{n}", n)) for n in range(20)), return_exceptions=True)
    assert isinstance(answers[7], Refused)
    assert [answer for answer in answers if answer != answers[7]] == [n for n in range(20) if n != 7]
    assert len(bench.effects()) == 19


async def test_a_refusal_is_a_value_and_not_a_failure() -> None:
    """A reply may be an exception for its endpoint to raise: it comes as it is, and nothing is rolled back."""
    bench = Bench()

    async def refuse(commands: Any, _: Any) -> list[Reply[str]]:
        return [Reply("as you see") for _ in commands]

    async with intake(bench, do=refuse) as taking:
        assert await taking.submit_all([Do("a", 1), Do("b", 2)]) == ["as you see", "as you see"]
        assert await taking.submit_all([]) == ()
    assert bench.faults.seen.count("committed") == 1


@pytest.mark.parametrize("step", ["begin", "close", "commit", "committed"])
async def test_without_postgres_a_command_is_said_to_be_unavailable(step: str) -> None:
    """Whether it was committed or that is not known: the client is told to repeat it with its key."""
    bench = Bench()
    bench.faults.add(step, StoreUnavailable("away"))
    async with intake(bench) as taking:
        with pytest.raises(UnavailableError, match="away"):
            await taking.submit(Do("k", 1))
        assert await taking.submit(Do("k", 2)) == 2


async def test_conflicts_are_tried_again_and_then_told() -> None:
    """A deadlock is nobody's fault: a few are passed over in silence, too many are the client's to repeat."""
    bench = Bench()
    bench.faults.add("close", *[Conflict("deadlock")] * 4)
    async with intake(bench) as taking:
        assert await taking.submit(Do("k", 1)) == 1
        bench.faults.add("close", *[Conflict("deadlock")] * 5)
        with pytest.raises(UnavailableError):
            await taking.submit(Do("k", 2))
    assert bench.effects() == [("k", "command 1")]


async def test_too_many_commands_are_turned_away() -> None:
    """When the queue is full, more are refused at once rather than kept waiting."""
    bench = Bench()
    async with intake(bench) as taking:
        with pytest.raises(UnavailableError, match="waiting already"):
            await asyncio.gather(*(taking.submit_all([Do("k", n) for n in range(MOST_WAITING)]) for _ in range(2)))
        assert await taking.submit(Do("k", 1)) == 1


async def test_more_commands_than_are_ever_taken_are_to_be_split() -> None:
    """To try the same again would never help: the error says so, and nothing of it is committed."""
    bench = Bench()
    async with intake(bench) as taking:
        with pytest.raises(TooManyCommandsError, match=f"split 5001 commands: at most {MOST_WAITING}"):
            await taking.submit_all([Do("k", n) for n in range(MOST_WAITING + 1)])
        assert await taking.submit(Do("k", 1)) == 1
    assert bench.effects() == [("k", "command 1")]


async def test_a_command_whose_handler_never_ends_holds_up_no_other() -> None:
    """It is given up by itself when its time is over; those that came with it, and after it, are committed."""
    bench = Bench()
    usual = sample_service(bench.script).commands[Do]

    async def hang(commands: Any, tx: Any) -> Any:
        if any(one.key == "stuck" for one in commands):
            await asyncio.Event().wait()
        return await usual(commands, tx)

    async with intake(bench, do=hang, seconds=0.1) as taking:
        async with asyncio.timeout(10):
            answers = await asyncio.gather(
                *(taking.submit(Do(key, 1)) for key in ("a", "stuck", "b")), return_exceptions=True
            )
            assert await taking.submit(Do("c", 1)) == 1
    assert (answers[0], type(answers[1]), answers[2]) == (1, TimeoutError, 1)
    assert sorted(bench.effects()) == [(key, "command 1") for key in "abc"]


async def test_who_waits_as_the_service_ends_is_told() -> None:
    """Commands under way and behind them are answered that they may be repeated, instead of never."""
    bench, begun = Bench(), asyncio.Event()

    async def hang(*_: Any) -> Any:
        begun.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(10):
        async with intake(bench, do=hang) as taking:
            waiting = [asyncio.create_task(taking.submit(Do("k", 1)))]
            await begun.wait()
            waiting.append(asyncio.create_task(taking.submit(Do("k", 2))))
            await asyncio.sleep(0)
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [UnavailableError] * 2


async def test_a_client_that_goes_away_harms_nobody() -> None:
    """A command whose client is gone is committed with the others, or not at all."""
    bench = Bench()
    async with intake(bench) as taking:
        gone = asyncio.create_task(taking.submit(Do("a", 1)))
        stays = asyncio.create_task(taking.submit(Do("b", 2)))
        await asyncio.sleep(0)
        gone.cancel()
        assert await stays == 2


@pytest.mark.parametrize("error", [StoreUnavailable("away"), Conflict("deadlock")])
async def test_a_read_that_fails_for_now_is_unavailable_too(error: Exception) -> None:
    """An endpoint that only looks gets the same word."""
    bench = Bench()
    async with intake(bench) as taking:
        bench.store.rows["SELECT 1"] = [{"value": 1}]
        assert await taking.read("SELECT 1") == [{"value": 1}]
        bench.faults.add("read", error)
        with pytest.raises(UnavailableError):
            await taking.read("SELECT 1")


async def test_a_relay_publishes_only_the_shards_it_owns() -> None:
    """What belongs to another instance's shards is left to it, and taken by whoever owns them next."""
    bench = Bench()
    async with intake(bench, relayed=[0]) as taking:
        await taking.submit_all([Do(f"k{n}", n) for n in range(30)])
        await bench.until(bench.done, "some results")
        await asyncio.sleep(0.05)
        assert 0 < len(bench.done()) < 30
    async with intake(bench, relayed=range(SHARDS)):
        await bench.until(lambda: len(bench.done()) == 30, "all results")
        await bench.until(lambda: not bench.store.state.outbox, "the outbox is empty")


async def test_a_relay_publishes_what_its_process_committed_without_asking_for_it() -> None:
    """It is handed in; the database is asked now and then, for what others committed and to delete what is out."""
    bench = Bench()
    async with intake(bench) as taking:
        for n in range(30):
            await taking.submit(Do("k", n))
            await bench.until(lambda n=n: bench.done() == {"k": list(range(n + 1))}, "the result")
        assert bench.faults.seen.count("backlog") < 15
        await bench.until(lambda: not bench.store.state.outbox, "the outbox is empty")


async def test_what_another_instance_committed_before_goes_first() -> None:
    """A key's commands came by two instances: its shard's owner finds the earlier event before it sends its own."""
    bench = Bench()
    async with intake(bench, relayed=()) as other, intake(bench) as taking:
        for n in range(0, 20, 2):
            await other.submit(Do("k", n))
            await taking.submit(Do("k", n + 1))
        await bench.until(lambda: bench.done() == {"k": list(range(20))}, "all results in order")


async def test_what_another_instance_committed_after_goes_after() -> None:
    """While Kafka was away a key's commands came by two instances: what was handed in is not passed by what is read."""
    bench = Bench()
    bench.faults.add("publish", *[LogUnavailable("away")] * 2)
    async with intake(bench, relayed=()) as other, intake(bench) as taking:
        await taking.submit(Do("k", 0))
        await asyncio.sleep(0.01)
        for n in range(1, 3):
            await taking.submit(Do("k", n))
        for n in range(3, 5):
            await other.submit(Do("k", n))
        await bench.until(lambda: len(bench.done().get("k", ())) == 5, "all results")
        assert bench.done() == {"k": list(range(5))}


async def test_what_was_handed_in_while_kafka_was_away_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is asked meanwhile, and gives nothing but what waits here already."""
    monkeypatch.setattr(outbox_relay, "_MAYBE_MORE", 2)
    bench = Bench()
    bench.faults.add("publish", *[LogUnavailable("away")] * 4)
    async with intake(bench) as taking:
        for n in range(20):
            await taking.submit(Do("k", n))
        await bench.until(lambda: bench.done() == {"k": list(range(20))}, "all results in order")
        await bench.until(lambda: not bench.store.state.outbox, "the outbox is empty")


async def test_what_is_handed_in_while_kafka_is_away_does_not_fill_the_memory() -> None:
    """Commands are taken all the same: their events stand in the database."""
    bench, at = Bench(), Partition("first", 0)
    relay = Relay(bench.publications(MemoryLog(bench.cluster, "g", ())), bench.store, lambda: [at])
    for number in range(1_000):
        relay.put([OutboxRow(number, b"x" * 100_000, at, frozenset(range(number)))])
    assert sum(len(row.messages) for row in relay._handed) < 20_000_000


async def test_where_not_all_that_stands_before_is_told_it_is_looked_for() -> None:
    """Of very many rows the last are told; one before them may be another instance's."""
    bench, at = Bench(), Partition("first", 0)
    relay = Relay(bench.publications(MemoryLog(bench.cluster, "g", ())), bench.store, lambda: [at])
    for number in range(MOST_BEHIND + 1):
        relay.put([OutboxRow(number, b"", at, frozenset(range(number)))])
    relay.put([OutboxRow(1_000, b"", at, frozenset(range(MOST_BEHIND + 1)))])
    assert [row.id for row in relay._handed] == list(range(MOST_BEHIND + 1))


async def test_what_there_was_no_room_for_is_read_and_goes_out_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there is room again for what comes after it."""
    monkeypatch.setattr(outbox_relay, "_MOST_HANDED_BYTES", 500)
    bench = Bench()
    bench.faults.add("publish", *[LogUnavailable("away")] * 2)
    async with intake(bench) as taking:
        for n in range(40):
            await taking.submit(Do("k", n))
            await asyncio.sleep(0.01)
        await bench.until(lambda: bench.done() == {"k": list(range(40))}, "all results in order")
        await bench.until(lambda: not bench.store.state.outbox, "the outbox is empty")


async def test_a_relay_lets_go_of_what_was_handed_in_with_its_shard() -> None:
    """A shard that goes to another instance takes along what was committed and is not published yet."""
    bench = Bench()
    owned = [Partition("first", 0)]
    topic = bench.config.publishes[0].topic
    relay = Relay(bench.publications(MemoryLog(bench.cluster, "g", (), bench.faults)), bench.store, lambda: owned)
    relay.put([OutboxRow(1, pack([Message(topic, b"k", [], b"x")]), owned[0])])
    owned.clear()
    relaying = asyncio.create_task(relay.run())
    await asyncio.sleep(0.1)
    relaying.cancel()
    assert "publish" not in bench.faults.seen


@pytest.mark.parametrize("error", [StoreUnavailable("away"), Conflict("deadlock")])
async def test_a_relay_goes_on_after_postgres_or_kafka_was_away(error: Exception) -> None:
    """What could not be read or published is, later, in order."""
    bench = Bench()
    bench.faults.add("backlog", error)
    bench.faults.add("publish", None, LogUnavailable("away"))
    async with intake(bench) as taking:
        await taking.submit_all([Do("k", n) for n in range(5)])
        await bench.until(lambda: bench.done() == {"k": list(range(5))}, "all results")
        await bench.until(lambda: not bench.store.state.outbox, "the outbox is empty")


async def test_a_command_whose_event_is_too_large_is_answered_so() -> None:
    """The refusal is its reply, and those beside it have theirs."""
    bench = Bench()

    async def handle(commands: Any, tx: Any) -> list[Reply[int]]:
        if any(one.command.n > 10 for one in commands):
            raise EventTooLargeError("too large")
        return [Reply(one.command.n) for one in commands]

    async with intake(bench, do=handle) as taking:
        answers = await taking.submit_all([Do("a", 1), Do("b", 11), Do("c", 3)])
        assert await taking.submit(Do("b", 11)) == TooLarge("too large")
    assert answers == [1, TooLarge("too large"), 3]
