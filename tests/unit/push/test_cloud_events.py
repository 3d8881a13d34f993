"""A program that takes CloudEvents: what it is sent, and what becomes of each of its answers."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from orderflow_contracts.event import Event
from orderflow_contracts.raw_event import RawEvent
from orderflow_push.__main__ import build
from orderflow_runtime import Service
from orderflow_runtime.testing import Harness
from support.runtime.program import Got, Program
from support.runtime.pushed import BATCH, STRUCTURED, published, settings


def asked(service: Service, key: str, data: bytes = b'{"n": 1}') -> Event:
    """Return an event that the service handles."""
    kind = next(iter(service.handlers))
    assert issubclass(kind, RawEvent)
    return kind(source="/test", version=3, data=data, record_key=key)


def binary(data: bytes = b'{"ok": true}', **attributes: str) -> web.Response:
    """Return a reply in binary mode."""
    told = {"specversion": "1.0", "id": "r1", "source": "/app", "type": "CHECKED"} | attributes
    headers = {f"ce-{name}": value for name, value in told.items()}
    return web.Response(body=data, headers=headers, content_type="application/json")


async def run(program: Program, keys: list[str], **push: Any) -> Harness:
    """Have events of these keys handed to the program until nothing is left to do."""
    service = build(settings(program.port, **push))
    async with program.listening(), Harness(service) as harness:
        for number, key in enumerate(keys):
            harness.send(asked(service, key), f"e{number}")
        await harness.settle()
    return harness


async def test_an_event_is_sent_in_binary_mode_with_all_that_it_carries() -> None:
    """Attributes by headers, whatever letters they have, the data as they stand; a reply is asked for."""

    async def respond(got: Got) -> web.Response:
        return web.Response(status=202)

    program = Program(respond)
    harness = await run(program, ["o/1 é"])
    [got] = program.got
    assert (got.method, got.path, got.body) == ("POST", "/in", b'{"n": 1}')
    assert got.headers["content-type"] == "application/json"
    assert got.headers["prefer"] == "reply"
    told = {name.removeprefix("ce-"): value for name, value in got.headers.items() if name.startswith("ce-")}
    assert told.pop("time")
    assert told == {
        "specversion": "1.0",
        "id": "e0",
        "source": "/test/sender",
        "type": "ASKED",
        "dataversion": "1",
        "partitionkey": "o/1%20%C3%A9",
    }
    assert not harness.dead_letters


@pytest.mark.parametrize("mode", ["binary", "structured"])
async def test_a_cloud_event_in_the_answer_is_published_under_the_events_key_or_its_own(mode: str) -> None:
    """In either mode."""

    async def respond(got: Got) -> web.Response:
        own = {"partitionkey": "other"} if got.headers["ce-id"] == "e1" else {}
        if mode == "binary":
            return binary(**own)
        event = {"specversion": "1.0", "id": "r", "source": "/app", "type": "CHECKED", "data": {"ok": True}} | own
        return web.Response(body=json.dumps(event).encode(), headers={"content-type": STRUCTURED})

    harness = await run(Program(respond), ["o1", "o2"])
    assert sorted(published(harness)) == [("o1", {"ok": True}), ("other", {"ok": True})]


@pytest.mark.parametrize("status", [400, 401, 403, 405, 410, 413, 415, 422, 499])
async def test_what_is_refused_is_a_dead_letter_without_a_retry(status: int) -> None:
    """As Knative has it: the sender would send the same again."""

    async def respond(got: Got) -> web.Response:
        return web.Response(status=status)

    program = Program(respond)
    harness = await run(program, ["o1"])
    assert len(program.got) == 1
    assert [(one.event_id, one.attempts) for one in harness.dead_letters] == [("e0", 1)]
    assert str(status) in harness.dead_letters[0].reason


@pytest.mark.parametrize("status", [302, 404, 408, 409, 429, 500, 503, 599])
async def test_what_may_be_taken_later_is_sent_again(status: int) -> None:
    """Under the same id, until it is taken."""
    answers = [status, status, 200]

    async def respond(got: Got) -> web.Response:
        return web.Response(status=answers.pop(0))

    program = Program(respond)
    harness = await run(program, ["o1"])
    assert [got.headers["ce-id"] for got in program.got] == ["e0"] * 3
    assert not harness.dead_letters


async def test_a_reply_that_is_none_of_its_events_or_breaks_its_contract_is_not_published() -> None:
    """The event is tried again, and its dead letter says what was wrong and quotes nothing."""

    async def respond(got: Got) -> web.Response:
        if got.headers["ce-partitionkey"] == "type":
            return binary(type="STRANGE")
        if got.headers["ce-partitionkey"] == "contract":
            return binary(b'{"ok": "secret@example.org"}')
        return binary(b"no json")

    harness = await run(Program(respond), ["type", "contract", "json"])
    assert published(harness) == []
    reasons = {one.key: one.reason for one in harness.dead_letters}
    assert "publishes no STRANGE" in reasons["type"]
    assert "CHECKED breaks its contract at /ok: type" in reasons["contract"]
    assert "no JSON" in reasons["json"]
    assert not any("secret" in reason for reason in reasons.values())


async def test_a_program_that_is_away_costs_no_attempt() -> None:
    """Events wait as long as nobody listens, and are handed over when somebody does."""

    async def respond(got: Got) -> web.Response:
        return web.Response()

    program = Program(respond)
    service = build(settings(program.port))
    async with Harness(service) as harness:
        harness.send(asked(service, "o1"), "e0")
        await asyncio.sleep(0.5)
        assert service.recipient is not None
        assert "is not there" in service.recipient.obstacle
        async with program.listening():
            await harness.settle()
        assert service.recipient.obstacle == ""
        assert not harness.store.state.journal
    assert [got.headers["ce-id"] for got in program.got] == ["e0"]


async def test_a_program_that_does_not_answer_in_time_is_asked_again() -> None:
    """After `delivery.timeout`."""
    slow = [True]

    async def respond(got: Got) -> web.Response:
        if slow.pop() if slow else False:
            await asyncio.sleep(2)
        return web.Response()

    program = Program(respond)
    harness = await run(program, ["o1"])
    assert len(program.got) == 2
    assert [(row.what, row.reason) for row in harness.store.state.journal if row.what == "FAILED"] == [
        ("FAILED", "the service's own program gave no answer in 0.5 s")
    ]


async def test_events_go_in_batches_where_the_program_asks_for_them_and_so_do_replies() -> None:
    """A batch is an array in order; each reply has the key that it names."""

    async def respond(got: Got) -> web.Response:
        assert got.headers["content-type"].startswith(BATCH)
        replies = [
            {"specversion": "1.0", "id": one["id"], "source": "/app", "type": "CHECKED", "data": {"ok": True}}
            | {"partitionkey": one["partitionkey"]}
            for one in json.loads(got.body)
        ]
        return web.Response(body=json.dumps(replies).encode(), headers={"content-type": BATCH})

    program = Program(respond)
    keys = [f"k{number % 30}" for number in range(90)]
    harness = await run(program, keys, batch=100, concurrency=4)
    assert len(program.got) < 20
    assert sorted(key for key, _ in published(harness)) == sorted(keys)
    seen: dict[str, list[int]] = {}
    for got in program.got:
        for one in json.loads(got.body):
            seen.setdefault(one["partitionkey"], []).append(int(one["id"][1:]))
    assert all(ids == sorted(ids) for ids in seen.values())
