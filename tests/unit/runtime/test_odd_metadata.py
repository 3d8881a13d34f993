"""Events whose metadata is odd are handled all the same, now, after a wait and after their death; it is counted."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from orderflow_contracts import dead_letters
from orderflow_contracts.envelope import Header
from orderflow_runtime.core.headers import MAX_HEADERS
from support.runtime.running import Bench
from support.runtime.sample_service import Put, sample_config

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
NO_TIME: list[Header] = [
    ("ce_specversion", b"1.0"),
    ("ce_id", b"one"),
    ("ce_source", b"/test"),
    ("ce_type", b"PUT"),
]
STRUCTURED: list[Header] = [("Content-Type", b"application/CloudEvents+json; charset=UTF-8")]
MEMBERS = {"specversion": "1.0", "id": "one", "source": "/test", "type": "PUT", "time": "2026-01-01t00:00:00.1z"}
ODD: dict[str, tuple[list[Header], dict[str, float]]] = {
    "a name that is not UTF-8": ([("\udcff", b"")], {"header_name": 1}),
    "10,000 headers": ([("h", b"")] * 10_000, {"header": 10_000 + 7 - MAX_HEADERS}),
    "10,000 ids": ([("ce_id", b"one")] * 10_000, {"header": 10_000}),
    "a long traceparent": ([("traceparent", b"0" * 100_000)], {"traceparent": 1}),
    "a trace of bytes": ([("traceparent", b"\xff"), ("tracestate", b"\xff")], {"traceparent": 1, "tracestate": 1}),
    "a tracestate of two lines": ([("traceparent", PARENT), ("tracestate", b"a=b\r\nx: y")], {"tracestate": 1}),
    "an extension of bytes": ([("ce_tenant", b"\xff"), ("ce_subject", b"\xff")], {"extension": 1}),
}


def ignored(bench: Bench) -> dict[str, float]:
    """Give what was counted, by kind."""
    (family,) = bench.instances[0].metrics.ignored.collect()
    return {s.labels["kind"]: s.value for s in family.samples if s.name.endswith("_total")}


@pytest.mark.parametrize(("extra", "counted"), ODD.values(), ids=list(ODD))
async def test_an_event_with_odd_metadata_is_handled_and_the_metadata_counted(
    extra: list[Header], counted: dict[str, float]
) -> None:
    """Also where its first attempt fails and it is kept for another; what it causes carries nothing odd on."""
    bench = Bench()
    bench.script.refuse["k", 1] = 2
    bench.send(Put(thing="k", n=1, do=("call",)), extra=extra, event_id="one")
    async with bench.running():
        await bench.until(lambda: len(bench.effects()) == 2, "the event and its call are handled")
        await bench.until(bench.done, "its event is published")
    assert not bench.letters()
    assert ignored(bench) == counted
    (record,) = bench.cluster.records_of(bench.config.publishes[0].topic)
    assert len(dict(record.headers)["traceparent"] or b"") == len(PARENT)
    assert "tracestate" not in dict(record.headers)


async def test_a_dead_letter_keeps_so_many_headers_and_those_that_are_read_first() -> None:
    """However many there were before them, the attributes and as much of the rest as fits stand in the letter."""
    bench = Bench(sample_config(retries=0))
    bench.script.refuse["k", 1] = 2
    attributes = [*NO_TIME, ("traceparent", PARENT)]
    bench.send(Put(thing="k", n=1), headers=[*[("h\udcff", b"v")] * 5_000, *attributes])
    async with bench.running():
        await bench.until(bench.letters, "the letter")
    (record,) = bench.cluster.records_of(bench.config.dead_letter_topic)
    kept = [header for header in record.headers if not header[0].startswith(dead_letters.PREFIX)]
    assert kept[-len(attributes) - 1 : -1] == attributes
    assert {name for name, _ in kept[: -len(attributes) - 1]} == {"h\\xff"}
    assert len(kept) == MAX_HEADERS + 1  # the time was put in


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        (NO_TIME, None),
        (STRUCTURED, MEMBERS | {"data": {"thing": "k", "n": 1.0}}),
        (STRUCTURED, {**MEMBERS, "time": None, "data": {"thing": "k", "n": 1}}),
        (STRUCTURED, MEMBERS | {"data_base64": base64.b64encode(b'{"thing":"k","n":1}').decode()}),
    ],
    ids=["no time", "structured", "structured without time", "structured of bytes"],
)
async def test_an_event_in_any_form_is_handled_once_also_after_a_wait_and_from_its_letter(
    headers: list[Header], value: dict[str, object] | None
) -> None:
    """It is parked, tried, dies, and its letter's record is an event again of the same time: once in all."""
    bench = Bench(sample_config(retries=1))
    bench.script.refuse["k", 1] = 3
    body = None if value is None else json.dumps(value).encode()
    sent = bench.send(Put(thing="k", n=1), headers=headers, value=body)
    bench.send(Put(thing="k", n=1), headers=headers, value=body)
    async with bench.running():
        await bench.until(bench.letters, "the letter")
        (letter,) = bench.cluster.records_of(bench.config.dead_letter_topic)
        back: Header = ("orderflow-redrive-of", dict(letter.headers)[dead_letters.LETTER_ID])
        kept = [header for header in letter.headers if not header[0].startswith(dead_letters.PREFIX)]
        bench.send(Put(thing="k", n=1), headers=[*kept, back], value=letter.value)
        await bench.until(bench.effects, "the effect")
        bench.send(Put(thing="k", n=2))
        await bench.until(lambda: "PUT 2" in bench.effects_of("k"), "the next is handled")
    assert bench.effects_of("k") == ["PUT 1", "PUT 2"]
    assert letter.value == sent.value
    assert kept[: len(headers)] == list(headers)


async def test_the_time_of_an_event_without_one_is_that_of_its_record() -> None:
    """Its age is measured from then."""
    bench = Bench()
    record = bench.send(Put(thing="k", n=1), headers=NO_TIME)
    async with bench.running():
        await bench.until(bench.effects, "the effect")
    (inbox_row,) = bench.store.state.inbox_rows
    assert inbox_row.time == datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=record.timestamp)
