"""Redrive: a dead letter's event comes back once, to the service that holds the letter, and never in a loop."""

import uuid

from orderflow_contracts.dead_letters import LETTER_ID, MAX_REDRIVES, REDRIVE_OF
from orderflow_contracts.envelope import Header
from support.runtime.running import Bench
from support.runtime.sample_service import Put, sample_config


def redrive_of(letter: dict[str, bytes]) -> list[Header]:
    """The header that makes a record the redrive of a dead letter."""
    return [(REDRIVE_OF, letter[LETTER_ID])]


async def dead(bench: Bench, count: int = 1) -> dict[str, bytes]:
    """Wait for so many letters, and give the last."""
    await bench.until(lambda: len(bench.letters()) == count, "the dead letter")
    return bench.letters()[-1]


async def test_a_redriven_event_takes_effect_once() -> None:
    """An event whose handler is mended takes effect when it is redriven, however often the record comes."""
    bench = Bench(sample_config(retries=0))
    bench.script.refuse["k", 1] = 100
    bench.send(Put(thing="k", n=1), event_id="one")
    async with bench.running():
        letter = await dead(bench)
        bench.script.refuse.clear()
        for _ in range(3):
            bench.send(Put(thing="k", n=1), event_id="one", extra=redrive_of(letter))
        bench.send(Put(thing="k", n=2))
        await bench.until(lambda: bench.effects_of("k")[-1:] == ["PUT 2"], "what came after")
    assert bench.effects_of("k") == ["PUT 1", "PUT 2"]


async def test_a_repaired_poison_record_takes_effect_once() -> None:
    """A record that could not be read takes effect when its repaired form is redriven."""
    bench = Bench()
    bench.send(Put(thing="k", n=1), event_id="one", value=b"{")
    async with bench.running():
        letter = await dead(bench)
        for _ in range(2):
            bench.send(Put(thing="k", n=1), event_id="one", extra=redrive_of(letter))
        await bench.until(lambda: bench.effects_of("k"), "the effect")
    assert bench.effects_of("k") == ["PUT 1"]


async def test_a_redrive_for_another_service_does_not_use_up_the_event() -> None:
    """When two services hold a letter of one record, redriving the other's letter first does not spend ours."""
    bench = Bench()
    bench.send(Put(thing="k", n=1), event_id="one", value=b"{")
    async with bench.running():
        letter = await dead(bench)
        bench.send(Put(thing="k", n=1), event_id="one", extra=[(REDRIVE_OF, str(uuid.uuid4()).encode())])
        bench.send(Put(thing="k", n=2))
        await bench.until(lambda: bench.effects_of("k") == ["PUT 2"], "what came after the other's redrive")
        bench.send(Put(thing="k", n=1), event_id="one", extra=redrive_of(letter))
        await bench.until(lambda: len(bench.effects_of("k")) == 2, "the redriven event's effect")
    assert bench.effects_of("k") == ["PUT 2", "PUT 1"]


async def test_a_redrive_that_fails_again_keeps_its_letter_and_its_count() -> None:
    """An event that dies again after a redrive has the same letter, until the loop guard leaves it where it is."""
    bench = Bench(sample_config(retries=0))
    bench.script.refuse["k", 1] = 100
    bench.send(Put(thing="k", n=1), event_id="one")
    async with bench.running():
        for count in range(1, MAX_REDRIVES + 1):
            bench.send(Put(thing="k", n=1), event_id="one", extra=redrive_of(await dead(bench, count)))
        letter = await dead(bench, MAX_REDRIVES + 1)
        bench.send(Put(thing="k", n=1), event_id="one", extra=redrive_of(letter))
        bench.send(Put(thing="k", n=2))
        await bench.until(lambda: bench.effects_of("k") == ["PUT 2"], "what came after the last redrive")
    assert len({each[LETTER_ID] for each in bench.letters()}) == 1
    assert len(bench.letters()) == MAX_REDRIVES + 1
    assert [row.redrives for row in bench.store.state.dead.values()] == [MAX_REDRIVES]


async def test_poison_for_another_services_redrive_is_not_buried_here() -> None:
    """A redriven record that is still broken goes back to the letters of its own service alone."""
    bench = Bench()
    bench.send(Put(thing="k", n=1), value=b"{", extra=[(REDRIVE_OF, str(uuid.uuid4()).encode())])
    bench.send(Put(thing="k", n=2))
    async with bench.running():
        await bench.until(lambda: bench.effects_of("k") == ["PUT 2"], "what came after")
    assert not bench.letters()
    assert not bench.store.state.dead
