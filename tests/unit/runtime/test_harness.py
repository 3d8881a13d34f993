"""The harness that authors test with: what it promises of sending, settling, time, commands, calls and faults."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orderflow_runtime import Event, Received, Service, Transaction, UnavailableError
from orderflow_runtime.testing import Faults, Harness, LogUnavailable, NotSettledError, StoreUnavailable
from support.runtime.sample_service import EFFECT, Do, Done, Outside, Put, Script, sample_service, source_service
from support.tools.pages import code_blocks

LOOKED_UP = "SELECT what FROM effects WHERE key = ANY($1::text[])"


def effects(harness: Harness) -> list[str]:
    """Give the sample service's effects, in order."""
    return [what for query, args in harness.statements if query == EFFECT for what in args[1]]


async def test_the_page_tests_its_service_in_ten_lines() -> None:
    """The page's test passes as it stands there, and fails where the service is wrong."""
    service, test, _ = code_blocks("docs/services.md")
    assert len(test[test.index("async def") :].splitlines()) <= 10
    names: dict[str, Any] = {"__name__": "page"}
    exec(service + test, names)  # noqa: S102 - the page's own code
    run = names["test_points_are_granted_once_whatever_happens"]
    await run()

    async def forget(orders: Sequence[Received[Any]], tx: Transaction) -> list[Event]:
        return []

    names["rewards"] = replace(names["rewards"], handlers={names["OrderCompleted"]: forget})
    with pytest.raises(AssertionError):
        await run()


async def test_what_follows_from_an_event_has_happened_when_it_is_settled() -> None:
    """Handlers, calls and their outcomes, publishing: all of it, in order by key, and nothing twice."""
    outside = Outside(answers=["lost"])
    async with Harness(sample_service(Script(), outside)) as harness:
        for n in range(20):
            harness.send(Put(thing=f"k{n % 3}", n=n, do=("call",) if n == 7 else ()))
        await harness.settle()
        published = [(event.thing, event.n) for event in harness.published(Done)]
        assert sorted(published) == sorted((f"k{n % 3}", n) for n in range(20))
        assert [n for thing, n in published if thing == "k1"] == [1, 4, 7, 10, 13, 16, 19]
        assert effects(harness).count("outcome 7") == 1
        assert outside.performed == ["k1:7"]


async def test_an_event_sent_again_under_its_id_is_a_repeat() -> None:
    """The id decides: the same event under another id is another event."""
    async with Harness(sample_service(Script())) as harness:
        first = harness.send(Put(thing="k", n=1))
        harness.send(Put(thing="k", n=1), first)
        await harness.settle()
        assert effects(harness) == ["PUT 1"]
        harness.send(Put(thing="k", n=1))
        await harness.settle()
        assert effects(harness) == ["PUT 1", "PUT 1"]


async def test_an_event_that_always_fails_is_a_dead_letter_when_it_is_settled() -> None:
    """It is tried as often as the resource's default says, at once, and told with its reason."""
    script = Script(refuse={("k", 1): 99})
    async with Harness(sample_service(script)) as harness:
        harness.send(Put(thing="k", n=1))
        await harness.settle()
        (letter,) = harness.dead_letters
        assert (letter.key, letter.type, letter.attempts) == ("k", "PUT", 6)
        assert "Refused" in letter.reason
        assert harness.published(Done) == []


async def test_a_timer_fires_when_the_time_is_moved_and_not_before() -> None:
    """A year passes at once; without it nothing is due, and the service is settled."""
    async with Harness(sample_service(Script())) as harness:
        harness.send(Put(thing="k", n=1, do=("set 31536000",)))
        await harness.settle()
        assert effects(harness) == ["PUT 1"]
        harness.advance(timedelta(days=365))
        await harness.settle()
        assert effects(harness) == ["PUT 1", "timer 1"]


@pytest.mark.parametrize("make", [sample_service, source_service], ids=["with subscriptions", "without"])
async def test_commands_are_committed_and_published(make: Any) -> None:
    """A command is answered after its commit; what it published is there when it is settled."""
    async with Harness(make(Script())) as harness:
        assert await harness.intake.submit(Do("k", 5)) == 5
        assert effects(harness) == ["command 5"]
        await harness.settle()
        assert harness.published(Done) == [Done(thing="k", n=5)]


@pytest.mark.parametrize("step", ["begin", "open", "close", "commit", "committed", "acquire", "backlog", "due"])
async def test_what_postgres_does_changes_no_effect(step: Any) -> None:
    """Wherever it fails, the effects happen once, as in production."""
    async with Harness(sample_service(Script())) as harness:
        harness.faults.add(step, StoreUnavailable("away"), None, StoreUnavailable("away"))
        harness.send(Put(thing="k", n=1))
        harness.send(Put(thing="k", n=2))
        await harness.settle()
        assert effects(harness) == ["PUT 1", "PUT 2"]
        assert [event.n for event in harness.published(Done)] == [1, 2]


@pytest.mark.parametrize("step", ["start", "resume", "fetch", "publish", "published"])
async def test_what_kafka_does_changes_no_effect(step: Any) -> None:
    """Wherever it fails, what is published counts once."""
    async with Harness(sample_service(Script())) as harness:
        harness.faults.add(step, LogUnavailable("away"))
        harness.send(Put(thing="k", n=1))
        await harness.settle()
        assert effects(harness) == ["PUT 1"]
        assert [event.n for event in harness.published(Done)] == [1]


async def test_a_query_finds_what_was_laid_out_for_it() -> None:
    """Handlers and endpoints read the same rows; a query that nobody laid out finds nothing."""
    found: list[Any] = []

    async def look(events: Sequence[Received[Put]], tx: Transaction) -> list[Event]:
        found.extend(await tx.fetch(LOOKED_UP, [event.key for event in events]))
        found.extend(await tx.fetch("SELECT 1"))
        return []

    async with Harness(sample_service(Script(), handlers={Put: look})) as harness:
        harness.store.rows[LOOKED_UP] = [{"what": "PUT 0"}]
        harness.send(Put(thing="k", n=1))
        await harness.settle()
        assert found == [{"what": "PUT 0"}]
        assert await harness.intake.read(LOOKED_UP, ["k"]) == [{"what": "PUT 0"}]


async def test_what_is_not_settled_in_time_is_told() -> None:
    """The message counts what is left, so that one sees what hangs."""
    outside = Outside(answers=["never arrived"] * 10_000)
    async with Harness(sample_service(Script(), outside)) as harness:
        harness.cluster.refused["test.done"] = "nobody may write there"
        harness.send(Put(thing="k", n=1, do=("call",)))
        with pytest.raises(NotSettledError, match="1 calls without an outcome, 1 batches to publish"):
            await harness.settle(seconds=0.3)


async def never(*_: Any) -> Any:
    """Handle nothing, for ever."""
    await asyncio.Event().wait()


async def test_a_handler_that_never_ends_is_named_where_it_is_waited_for() -> None:
    """What waits says whose handler it waits for; what is handed in is refused, instead of hanging for ever."""
    service = sample_service(Script(), handlers={Put: never}, commands={Do: never})

    async def settle() -> None:
        async with Harness(service) as harness:
            harness.send(Put(thing="k", n=1))
            await harness.settle(seconds=0.3)

    async def submit() -> None:
        async with Harness(service) as harness:
            await harness.intake.submit(Do("k", 1))

    with pytest.raises(NotSettledError, match="1 records to handle; the handler of PUT has not ended"):
        await asyncio.wait_for(settle(), 14)
    with pytest.raises(TimeoutError, match="the handler had not ended after 4 s"):
        await asyncio.wait_for(submit(), 14)


@pytest.mark.parametrize("work", ["event", "command"])
async def test_a_handler_that_never_ends_fails_the_test_that_waits_for_nothing(work: str) -> None:
    """A test that ends with a handler in the middle has not seen what it does."""
    waiting = []

    async def end_in_the_middle() -> None:
        async with Harness(sample_service(Script(), handlers={Put: never}, commands={Do: never})) as harness:
            if work == "event":
                harness.send(Put(thing="k", n=1))
            else:
                waiting.append(asyncio.create_task(harness.intake.submit(Do("k", 1))))
            await asyncio.sleep(0.1)

    with pytest.raises(NotSettledError, match=r"the handler of (PUT|do) had not ended when the test did"):
        await asyncio.wait_for(end_in_the_middle(), 14)
    for answer in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(answer, TimeoutError)


async def test_a_close_that_never_ends_fails_the_test() -> None:
    """It is named, after a while, in place of hanging; one that is wrong fails the test as it is."""

    async def end(close: Any) -> None:
        async with Harness(sample_service(Script(), close=close)) as harness:
            await harness.settle()

    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(NotSettledError, match="the service's `close` had not ended"):
        await asyncio.wait_for(end(never), 14)
    with pytest.raises(ZeroDivisionError):
        await end(fail)


async def test_an_event_that_the_service_does_not_declare_is_named() -> None:
    """The dead letter says which event is missing, and where to add it."""
    async with Harness(sample_service(Script(), publishes=frozenset())) as harness:
        harness.send(Put(thing="k", n=1))
        await harness.settle()
        (letter,) = harness.dead_letters
        assert "DONE is none of the service's `publishes`: add it there and in the resource" in letter.reason
        assert effects(harness) == []


async def test_a_mistake_in_a_test_is_named() -> None:
    """What the service does not handle, publish or take, and a step that there is not, are refused by name."""
    only = Service(name="only", handlers={Put: sample_service(Script()).handlers[Put]})
    async with Harness(only) as harness:
        with pytest.raises(LookupError, match="service only does not handle DONE"):
            harness.send(Done(thing="k"))
        with pytest.raises(LookupError, match="service only does not publish DONE"):
            harness.published(Done)
        with pytest.raises(LookupError, match="service only has no commands"):
            _ = harness.intake
    with pytest.raises(ValueError, match="'comit' is no step; there are begin"):
        Faults().add("comit", StoreUnavailable("away"))  # type: ignore[arg-type]  # the mistake


async def test_a_service_runs_within_its_block_and_only_there() -> None:
    """Outside of it nothing hangs: waiting and handing in are refused, and so is a second run."""
    harness = Harness(sample_service(Script()))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the service runs within `async with Harness"):
            await harness.settle()
        with pytest.raises(RuntimeError, match="the service runs within `async with Harness"):
            await harness.intake.submit(Do("k", 5))
        if not harness.statements:
            async with harness:
                await harness.intake.submit(Do("k", 5))
    with pytest.raises(RuntimeError, match="make another"):
        await harness.__aenter__()


async def test_what_ends_the_process_is_raised_where_it_is_waited_for() -> None:
    """A fault that no process survives is the test's to see, at once and as it is."""

    async def run() -> None:
        async with Harness(sample_service(Script())) as harness:
            harness.faults.add("acquire", ZeroDivisionError())
            harness.send(Put(thing="k", n=1))
            await harness.settle(seconds=5)

    with pytest.raises(ZeroDivisionError):
        await run()


async def test_a_fault_meets_the_services_own_reads() -> None:
    """Nothing else of the process reads in between: the first read of an endpoint fails, the second does not."""
    async with Harness(sample_service(Script())) as harness:
        harness.faults.add("read", StoreUnavailable("away"))
        harness.send(Put(thing="k", n=1))
        await harness.settle()
        with pytest.raises(UnavailableError):
            await harness.intake.read(LOOKED_UP, ["k"])
        assert list(await harness.intake.read(LOOKED_UP, ["k"])) == []


async def test_a_service_is_closed_with_its_harness() -> None:
    """What the ports hold open is let go of, and nothing runs on."""
    closed = []

    async def close() -> None:
        closed.append(1)

    async with Harness(sample_service(Script(), close=close)) as harness:
        harness.send(Put(thing="k", n=1))
        await harness.settle()
    assert closed == [1]


def test_testing_needs_no_framework_and_no_client() -> None:
    """An author's tests may be of any framework, and run where neither Kafka's nor Postgres's client is."""
    script = "import sys, orderflow_runtime.testing; print(*{'pytest', 'aiokafka', 'asyncpg'} & sys.modules.keys())"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.split() == []


def test_no_image_carries_it() -> None:
    """The images' context leaves the doubles out: the line stands behind the one that lets the runtime in."""
    lines = (Path(__file__).parents[3] / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert lines.index("runtime/src/orderflow_runtime/testing") > lines.index("!runtime/src")
