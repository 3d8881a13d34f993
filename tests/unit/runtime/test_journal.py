"""What is written down so that a key's story can be told: ids that stand together, and what did not go straight."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from orderflow_runtime.event_ids import id_range, new_event_id
from support.runtime.running import Bench
from support.runtime.sample_service import Put


@given(st.text(max_size=256), st.text(max_size=256))
def test_ids_of_a_key_lie_in_its_range_and_in_no_other(key: str, other: str) -> None:
    """An id is a UUID of version 8, written as Postgres and the inbox read it, different each time."""
    made = [new_event_id(key) for _ in range(3)]
    low, high = id_range(key)
    assert len(set(made)) == 3
    for text in made:
        assert str(read := uuid.UUID(text)) == text
        assert (read.version, read.variant) == (8, uuid.RFC_4122)
        assert low <= read <= high
    if other != key:
        assert id_range(other)[0] > high or id_range(other)[1] < low


async def test_each_failed_attempt_and_each_wait_is_written_with_its_batch() -> None:
    """The failing event's attempts, the one behind it, the end of both; an event that goes straight leaves nothing."""
    bench = Bench()
    bench.script.refuse = {("late", 1): 3}  # the first attempt is made twice: in a set, then alone
    async with bench.running():
        bench.send(Put(thing="well", n=1))
        await bench.until(lambda: bench.effects_of("well"), "an event that goes straight")
        bench.send(Put(thing="late", n=1))
        bench.send(Put(thing="late", n=2))
        await bench.until(lambda: len(bench.effects()) == 3, "all effects")
    told = [(row.what, row.attempt, row.due is not None) for row in bench.store.state.journal if row.key == "late"]
    assert told[0] == ("FAILED", 1, True)
    assert told.count(("WAITS", None, False)) == 1
    assert ("FAILED", 2, True) in told
    assert ("HANDLED", 3, False) in told
    assert told[-1] == ("HANDLED", 1, False)
    assert not [row for row in bench.store.state.journal if row.key == "well"]


async def test_a_death_is_written_with_its_reason() -> None:
    """The last attempt's reason stands in the journal as in the dead letter."""
    bench = Bench()
    bench.script.refuse = {("dead", 1): 99}
    async with bench.running():
        bench.send(Put(thing="dead", n=1))
        await bench.until(bench.letters, "its dead letter")
    last = bench.store.state.journal[-1]
    assert (last.what, last.attempt, last.reason) == ("DEAD", bench.config.delivery.retries + 1, "Refused: dead 1")
