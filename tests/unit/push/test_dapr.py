"""A program written for Dapr: where it takes events, what it is sent, and what becomes of each of its answers."""

import json
from typing import Any

import pytest
from aiohttp import web

from orderflow_contracts.raw_event import RawEvent
from orderflow_model.spec.push import PushProtocol
from orderflow_push.__main__ import build
from orderflow_push.dapr import SubscriptionError, read_routes
from orderflow_runtime.testing import Harness
from support.runtime.program import Got, Program, Respond
from support.runtime.pushed import settings

ROUTED = [{"pubsubname": "pubsub", "topic": "test.asked", "route": "/orders"}]


def dapr(respond: Respond, subscriptions: Any = ROUTED) -> Program:
    """Return a program that says what it subscribes."""

    async def answer(got: Got) -> web.Response:
        if got.path == "/dapr/subscribe":
            return web.json_response(subscriptions)
        return await respond(got)

    return Program(answer)


async def run(program: Program, *keys: str) -> Harness:
    """Have events of these keys handed to the program until nothing is left to do."""
    service = build(settings(program.port, protocol=PushProtocol.DAPR))
    kind = next(iter(service.handlers))
    assert issubclass(kind, RawEvent)
    async with program.listening(), Harness(service) as harness:
        for number, key in enumerate(keys):
            harness.send(kind(source="/test", version=1, data=b'{"n": 1}', record_key=key), f"e{number}")
        await harness.settle()
    return harness


def events(program: Program) -> list[Got]:
    """Return the events that a program was sent."""
    return [got for got in program.got if got.path != "/dapr/subscribe"]


async def test_an_event_is_sent_to_its_route_as_dapr_sends_it() -> None:
    """In structured mode, with its topic and component as the program calls them."""

    async def respond(got: Got) -> web.Response:
        return web.json_response({"status": "SUCCESS"})

    program = dapr(respond)
    harness = await run(program, "o1")
    [got] = events(program)
    assert (got.method, got.path, got.headers["content-type"]) == ("POST", "/orders", "application/cloudevents+json")
    told = json.loads(got.body)
    assert told["data"] == {"n": 1}
    assert [told[name] for name in ("id", "type", "topic", "pubsubname", "datacontenttype", "specversion")] == [
        *("e0", "ASKED", "test.asked", "pubsub", "application/json", "1.0")
    ]
    assert not harness.dead_letters


@pytest.mark.parametrize("body", [b"", b"OK", b"{}", b'{"status": ""}', b'{"status": "SUCCESS"}', b"[]"])
async def test_a_success_is_taken_once(body: bytes) -> None:
    """Whatever of it says nothing else."""

    async def respond(got: Got) -> web.Response:
        return web.Response(body=body)

    program = dapr(respond)
    harness = await run(program, "o1")
    assert len(events(program)) == 1
    assert not harness.dead_letters
    assert not harness.store.state.journal


@pytest.mark.parametrize(("status", "body"), [(200, b'{"status": "DROP"}'), (404, b"")])
async def test_a_drop_is_journalled_and_sent_no_more(status: int, body: bytes) -> None:
    """It is no dead letter."""

    async def respond(got: Got) -> web.Response:
        return web.Response(status=status, body=body)

    program = dapr(respond)
    harness = await run(program, "o1")
    assert len(events(program)) == 1
    assert not harness.dead_letters
    assert [row.what for row in harness.store.state.journal] == ["DROPPED"]


@pytest.mark.parametrize(("status", "body"), [(200, b'{"status": "RETRY"}'), (200, b'{"status": "?"}'), (500, b"")])
async def test_all_else_is_sent_again(status: int, body: bytes) -> None:
    """Until it is taken, or for as long as `delivery` says."""
    answers = [(status, body), (200, b"")]

    async def respond(got: Got) -> web.Response:
        code, content = answers.pop(0)
        return web.Response(status=code, body=content)

    program = dapr(respond)
    harness = await run(program, "o1")
    assert len(events(program)) == 2
    assert not harness.dead_letters


def test_routes_are_chosen_by_their_rules() -> None:
    """As Dapr's own sidecar has them, where a rule compares type or source."""
    rules = {"rules": [{"match": 'event.type == "ASKED"', "path": "asked"}], "default": "/rest"}
    said = json.dumps([{"pubsubname": "p", "topic": "t", "routes": rules}])
    routes = dict(read_routes(said.encode(), {"t": "ASKED"}))
    assert routes["ASKED"].rules == (("type", "ASKED", "/asked"),)
    assert routes["ASKED"].otherwise == "/rest"


@pytest.mark.parametrize(
    ("subscriptions", "words"),
    [
        ([{"pubsubname": "p", "topic": "other", "route": "/"}], "subscribes topic other"),
        ([], "does not subscribe ASKED"),
        ([{"topic": "t", "route": "/"}], "pubsubname"),
        ({}, "array"),
        ([{"pubsubname": "p", "topic": "t", "route": "/", "bulkSubscribe": {"enabled": True}}], "bulkSubscribe"),
        (
            [{"pubsubname": "p", "topic": "t", "routes": {"rules": [{"match": "event.data.n > 1", "path": "/a"}]}}],
            "event.data.n > 1",
        ),
    ],
)
def test_a_subscription_that_cannot_be_served_is_named(subscriptions: Any, words: str) -> None:
    """The service is not ready until it is mended."""
    with pytest.raises(SubscriptionError, match=words):
        list(read_routes(json.dumps(subscriptions).encode(), {"t": "ASKED"}))
