"""Payment's ports against the provider's real application, over HTTP on a free loopback port."""

import asyncio
import socket
from collections.abc import AsyncIterator
from random import Random

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from orderflow_payment.ports import PAYMENTS, REFUNDS, Client, ProviderPort
from orderflow_provider.app import make_app
from orderflow_provider.ledger import Faults, Ledger
from orderflow_runtime.ending import Ending
from orderflow_runtime.service import OutcomeUnknownError

KEY = "o1:capture"


@pytest.fixture
async def ledger() -> Ledger:
    """The provider's book."""
    return Ledger(Random(1))


@pytest.fixture
async def client(ledger: Ledger) -> AsyncIterator[Client]:
    """Payment's client of a running provider, with a time-out that a busy machine keeps."""
    async with TestServer(make_app(ledger, Ending())) as server:
        client = Client(str(server.make_url("/")), timeout=2)
        yield client
        await client.close()


@pytest.fixture
def capture(client: Client) -> ProviderPort:
    """The port that takes money."""
    return ProviderPort(client, PAYMENTS)


@pytest.fixture
def refund(client: Client) -> ProviderPort:
    """The port that gives it back."""
    return ProviderPort(client, REFUNDS)


def request(method: str = "tok_ok") -> dict[str, object]:
    """What the domain asks for."""
    return {"amount": 500, "currency": "EUR", "token": method}


async def test_a_capture_gives_its_reference(capture: ProviderPort) -> None:
    """The result is the outcome and what a refund needs, the same when looked up."""
    result = await capture.perform(request(), KEY)
    assert result == {"outcome": "captured", "reference": "pay_1"}
    assert await capture.lookup(KEY) == result


@pytest.mark.parametrize("reference", ["A/4 grün+", "gid://pay/7?x=1#y", "x" * 255])
async def test_a_reference_is_the_provider_s_own(reference: str) -> None:
    """Whatever a provider calls a payment is taken, and given back for the refund."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"outcome": "captured", "reference": reference})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        client = Client(str(server.make_url("/")), timeout=2)
        port = ProviderPort(client, PAYMENTS)
        assert await port.perform(request(), KEY) == await port.lookup(KEY)
        assert (await port.perform(request(), KEY))["reference"] == reference
        await client.close()


@pytest.mark.parametrize("key", ["A/4 grün+", "gid://shop/7", "a%2Fb", "x?y#z"])
async def test_any_key_can_be_looked_up(capture: ProviderPort, key: str) -> None:
    """A key is one part of the address, whatever characters it has."""
    made = await capture.perform(request("a=token/of+another"), key)
    assert await capture.lookup(key) == made


async def test_a_decline_is_a_known_outcome(capture: ProviderPort) -> None:
    """A refusal comes with its code, the same when looked up."""
    result = await capture.perform(request("tok_declined"), KEY)
    assert result == {"outcome": "declined", "code": "card_declined"}
    assert await capture.lookup(KEY) == result


@pytest.mark.parametrize(
    ("method", "outcome"),
    [("tok_lost", "captured"), ("tok_lost_declined", "declined"), ("tok_timeout", "captured")],
)
async def test_a_lost_or_late_answer_is_unknown_until_looked_up(
    capture: ProviderPort, ledger: Ledger, method: str, outcome: str
) -> None:
    """Nothing is assumed of a capture without an answer, and asking tells what happened."""
    with pytest.raises(OutcomeUnknownError):
        await capture.perform(request(method), KEY)
    result = await capture.lookup(KEY)
    assert result is not None
    assert result["outcome"] == outcome
    assert ledger.received[KEY] == 1


async def test_a_request_that_did_nothing_is_surely_unknown_to_the_provider(
    capture: ProviderPort, ledger: Ledger
) -> None:
    """After a server's error the look-up says that it never arrived, and it can be made again."""
    ledger.faults = Faults(error_rate=1)
    with pytest.raises(OutcomeUnknownError, match="503"):
        await capture.perform(request(), KEY)
    assert await capture.lookup(KEY) is None
    ledger.faults = Faults()
    assert (await capture.perform(request(), KEY))["outcome"] == "captured"


async def test_a_provider_that_is_not_there_is_unknown() -> None:
    """A refused connection says nothing about what an earlier one did."""
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        client = Client(f"http://127.0.0.1:{unheard.getsockname()[1]}", timeout=0.5)
        port = ProviderPort(client, PAYMENTS)
        with pytest.raises(OutcomeUnknownError):
            await port.perform(request(), KEY)
        with pytest.raises(OutcomeUnknownError):
            await port.lookup(KEY)
        await client.close()


async def test_a_refund_is_made_refused_or_lost(capture: ProviderPort, refund: ProviderPort, ledger: Ledger) -> None:
    """A refused refund is known for good; a lost one is found by its key."""
    made = await capture.perform(request(), "o1:capture")
    back = {"reference": made["reference"], "amount": 500}
    assert (await refund.perform(back, "o1:refund:1"))["outcome"] == "refunded"
    assert (await refund.perform(back, "o1:refund:2"))["outcome"] == "rejected"
    assert (await refund.perform(back | {"reference": "pay_9"}, "o1:refund:3"))["outcome"] == "rejected"
    lost = await capture.perform(request("tok_refund_lost"), "o2:capture")
    with pytest.raises(OutcomeUnknownError):
        await refund.perform({"reference": lost["reference"], "amount": 500}, "o2:refund:1")
    found = await refund.lookup("o2:refund:1")
    assert found is not None
    assert found["outcome"] == "refunded"
    assert ledger.totals()["refunded"] == {"EUR": 1000}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "<html>"),
        (200, "[" * 10_000),
        (200, "{}"),
        (200, '{"outcome": "captured"}'),
        (200, '{"outcome": "captured", "reference": "a\\u0007b"}'),
        (402, "no"),
        (402, "{}"),
        (429, "{}"),
        (302, "{}"),
        (500, '{"outcome": "captured", "reference": "pay_1"}'),
    ],
)
async def test_an_answer_that_makes_no_sense_is_unknown(status: int, body: str) -> None:
    """Only what the provider surely said is an outcome, to a request and to a look-up."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        client = Client(str(server.make_url("/")), timeout=0.5)
        port = ProviderPort(client, PAYMENTS)
        for unsure in (port.perform(request(), KEY), port.lookup(KEY)):
            with pytest.raises(OutcomeUnknownError):
                await unsure
        await client.close()


async def test_many_requests_at_once_are_each_answered_once(capture: ProviderPort, ledger: Ledger) -> None:
    """Concurrent captures share the session and none is mixed up."""
    results = await asyncio.gather(*(capture.perform(request(), f"o{n}:capture") for n in range(200)))
    assert len({result["reference"] for result in results}) == 200
    assert ledger.totals()["captured"] == {"EUR": 200 * 500}
