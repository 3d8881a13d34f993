"""Events that a program says by itself: what is taken at the dispatcher's own port, and from whom."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp import web

from orderflow_contracts.raw_event import RawEvent
from orderflow_push import intake
from orderflow_push.__main__ import build
from orderflow_push.cloud_events import Said
from orderflow_runtime.testing import Harness, StoreUnavailable
from support.runtime.asgi import Answer, request
from support.runtime.program import Got, Program
from support.runtime.pushed import BATCH, STRUCTURED, published, settings

EVENT = {"specversion": "1.0", "id": "1", "source": "/app", "type": "CHECKED", "partitionkey": "o1"} | {
    "data": {"ok": True}
}
JSON = "application/json"


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    """A dispatcher whose program listens, and whose database has heard of none of the events."""

    async def respond(got: Got) -> web.Response:
        return web.Response()

    program = Program(respond)
    async with program.listening(), Harness(build(settings(program.port))) as running:
        identities = [intake._identity(Said(str(number), "/app", "CHECKED", b"{}")) for number in range(10)]
        running.store.rows[intake._REMEMBER] = [{"id": one} for one in identities]
        yield running


async def post(
    harness: Harness, body: bytes, headers: Mapping[str, str], path: str = "/events", client: str = "127.0.0.1"
) -> Answer:
    """Send a request to the dispatcher's API."""
    app = harness._service.app
    assert app is not None
    return await request(app(harness.intake), "POST", path, body, headers, client=client)


def structured(**changes: Any) -> bytes:
    """Return the event in structured mode, with changes; None takes an attribute away."""
    return json.dumps({name: value for name, value in (EVENT | changes).items() if value is not None}).encode()


@pytest.mark.parametrize("mode", ["binary", "structured", "batch"])
async def test_an_event_is_taken_in_any_mode(harness: Harness, mode: str) -> None:
    """It is published under the key that it names, once it is committed."""
    if mode == "binary":
        headers = {f"ce-{name}": str(value) for name, value in EVENT.items() if name != "data"}
        answer = await post(harness, b'{"ok": true}', headers | {"content-type": JSON})
    elif mode == "structured":
        answer = await post(harness, structured(), {"content-type": STRUCTURED})
    else:
        answer = await post(harness, b"[" + structured() + b"]", {"content-type": BATCH})
    assert answer.status == 202
    await harness.settle()
    assert published(harness) == [("o1", {"ok": True})]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "words"),
    [
        (structured(type="STRANGE"), STRUCTURED, 422, "publishes no STRANGE (publishes: CHECKED)"),
        (structured(data={"ok": 1}), STRUCTURED, 422, "breaks its contract at /ok: type"),
        (structured(data={}), STRUCTURED, 422, "breaks its contract at /: required"),
        (structured(partitionkey=None), STRUCTURED, 422, "partitionkey"),
        (structured(partitionkey="k" * 257), STRUCTURED, 400, "longer than 256"),
        (structured(id=None), STRUCTURED, 400, "id is missing"),
        (structured(specversion="0.3"), STRUCTURED, 400, "specversion"),
        (structured(data=None), STRUCTURED, 400, "no data"),
        (structured(datacontenttype="text/plain"), STRUCTURED, 400, "JSON"),
        (b"{", STRUCTURED, 400, "no JSON object"),
        (b"{}", BATCH, 400, "no JSON array"),
        (b"<event/>", "application/cloudevents+xml", 400, "JSON alone"),
        (b"{}", JSON, 400, "no CloudEvent"),
    ],
)
async def test_what_is_wrong_with_an_event_is_said(
    harness: Harness, body: bytes, content_type: str, status: int, words: str
) -> None:
    """And nothing of it is published."""
    answer = await post(harness, body, {"content-type": content_type})
    assert answer.status == status
    assert words in answer.json["detail"]
    await harness.settle()
    assert published(harness) == []


async def test_of_a_batch_with_a_wrong_event_none_is_taken(harness: Harness) -> None:
    """Whoever sends it again sends all of it."""
    body = b"[" + structured() + b"," + structured(type="STRANGE") + b"]"
    assert (await post(harness, body, {"content-type": BATCH})).status == 422
    await harness.settle()
    assert published(harness) == []


@pytest.mark.parametrize("client", ["10.1.2.3", "192.168.0.1", "fd00::1"])
async def test_nobody_but_this_machine_is_heard(harness: Harness, client: str) -> None:
    """In a pod that is the program beside the dispatcher."""
    for path in ("/events", "/v1.0/publish/pubsub/CHECKED"):
        assert (await post(harness, structured(), {"content-type": STRUCTURED}, path, client)).status == 403


async def test_while_postgres_is_away_the_program_is_told_to_come_again(harness: Harness) -> None:
    """It may send the same again."""
    harness.faults.add("commit", StoreUnavailable("away"))
    answer = await post(harness, structured(), {"content-type": STRUCTURED})
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


async def test_an_event_is_as_large_as_may_be_published_and_no_larger(harness: Harness) -> None:
    """What is too large is the sender's to know."""
    answer = await post(harness, structured(data={"ok": True, "more": "x" * 900_000}), {"content-type": STRUCTURED})
    assert answer.status == 422
    assert "at most 900000" in answer.json["detail"]


@pytest.mark.parametrize("topic", ["CHECKED", "test.checked"])
async def test_dapr_publishes_data_and_whole_events_by_topic(harness: Harness, topic: str) -> None:
    """By the event's name, or its topic's; the key is metadata's, or the event's own."""
    path = f"/v1.0/publish/pubsub/{topic}"
    keyed = f"{path}?metadata.partitionKey=o1"
    assert (await post(harness, b'{"ok": true}', {"content-type": JSON}, keyed)).status == 204
    assert (await post(harness, structured(type="any.type"), {"content-type": STRUCTURED}, path)).status == 204
    assert (await post(harness, b"{}", {"content-type": JSON}, path)).status == 422
    assert (await post(harness, b"{}", {"content-type": JSON}, "/v1.0/publish/pubsub/other")).status == 422
    await harness.settle()
    assert published(harness) == [("o1", {"ok": True})]  # the other's id is drawn, and so not among the rows laid out


def test_raw_events_of_any_version_are_published_as_that() -> None:
    """A program that says a version is taken at its word."""
    kind = RawEvent.named("CHECKED")
    assert kind(source="/app", version=3, data=b"{}", record_key="o1").data_version == 3
