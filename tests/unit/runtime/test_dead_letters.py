"""Dead letters: what is given up keeps its bytes and says why; hostile records hold up nothing."""

import pytest

from orderflow_contracts import dead_letters
from orderflow_contracts.envelope import Header
from support.runtime.running import Bench
from support.runtime.sample_service import Put, Refused, sample_config


async def test_an_event_given_up_keeps_its_bytes_and_says_where_it_was_and_why() -> None:
    """A dead letter has the original's key, value and headers, and reason, attempts, topic, partition and offset."""
    bench = Bench(sample_config(retries=2))
    bench.script.refuse["k", 1] = 100
    record = bench.send(Put(thing="k", n=1), event_id="one", extra=[("mine", b"\x00\xff"), ("null", None)])
    async with bench.running():
        await bench.until(bench.letters, "the letter")
    (letter,) = bench.letters()
    assert (letter["key"], letter["value"]) == (record.key, record.value)
    assert (letter["ce_id"], letter["mine"], letter["null"]) == (b"one", b"\x00\xff", None)
    assert letter[dead_letters.REASON] == b"Refused: k 1"
    assert letter[dead_letters.ATTEMPTS] == b"3"
    assert letter[dead_letters.TOPIC].decode() == record.partition.topic
    assert int(letter[dead_letters.PARTITION]) == record.partition.number
    assert int(letter[dead_letters.OFFSET]) == record.offset
    assert not bench.effects()


HOSTILE: dict[str, dict[str, object]] = {
    "no JSON": {"value": b"{"},
    "not UTF-8": {"value": b'{"thing": "\xff"}'},
    "lone surrogate": {"value": rb'{"thing": "k", "do": ["\ud800"]}'},
    "another key": {"key": b"other"},
    "no key": {"key": b""},
    "key with NUL": {"key": b"k\x00"},
    "key not UTF-8": {"key": b"\xff"},
    "no headers": {"headers": []},
    "null id": {"headers": [("ce_specversion", b"1.0"), ("ce_id", None)]},
    "id not UTF-8": {"headers": [("ce_specversion", b"1.0"), ("ce_id", b"\xff")]},
    "header name not UTF-8": {"extra": [("\udcff", b"")], "value": b"{"},
    "null redrive": {"extra": [("orderflow-redrive-of", None)]},
    "redrive of nothing": {"extra": [("orderflow-redrive-of", b"x")]},
    "too many headers": {"extra": [("h", b"")] * 10_000, "value": b"{"},
    "batched mode": {"headers": [("content-type", b"application/cloudevents-batch+json")]},
    "structured mode without an event": {"headers": [("content-type", b"application/cloudevents+json")]},
}


@pytest.mark.parametrize("changes", HOSTILE.values(), ids=list(HOSTILE))
async def test_a_hostile_record_goes_to_the_letters_at_once(changes: dict[str, object]) -> None:
    """A record that is no event becomes a letter without an attempt, and the next one is handled."""
    bench = Bench(partitions=1)
    record = bench.send(Put(thing="k", n=1), **changes)
    bench.send(Put(thing="k", n=2))
    async with bench.running():
        await bench.until(lambda: bench.effects() == [("k", "PUT 2")], "the healthy event's effect")
    (letter,) = bench.letters()
    assert (letter["key"], letter["value"]) == (record.key, record.value)
    assert letter[dead_letters.ATTEMPTS] == b"0"
    assert letter[dead_letters.REASON]


async def test_null_header_values_do_no_harm() -> None:
    """An event may carry null headers of others, also while it is parked."""
    bench = Bench()
    extra: list[Header] = [("other", None)]
    bench.script.refuse["k", 1] = 2
    bench.send(Put(thing="k", n=1), extra=extra)
    async with bench.running():
        await bench.until(bench.effects, "the effect")
    assert not bench.letters()


async def test_a_reason_of_any_text_can_be_written() -> None:
    """What a handler says of its failure cannot spoil the batch, be it NUL or half a character."""
    bench = Bench(sample_config(retries=1))

    async def fail() -> None:
        raise Refused("\x00 \ud800 " + "x" * 10_000)

    bench.script.pause = fail
    bench.send(Put(thing="k", n=1))
    async with bench.running():
        await bench.until(bench.letters, "the letter")
    (row,) = bench.store.state.dead.values()
    assert len(row.letter.reason.encode()) < 2_000
    assert "\x00" not in row.letter.reason
