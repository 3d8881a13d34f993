"""The provider as a process of its own, over real HTTP on a free loopback port."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.flow.fleet import until

PAYMENT = {"idempotencyKey": "o1:capture", "amount": 500, "currency": "EUR", "token": "tok_ok"}


class Provider:
    """A provider process that may be killed and started again on the same port and state."""

    def __init__(self, state: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._state = state
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, drain: int = 0) -> None:
        """Start it and wait until it listens."""
        env = (
            os.environ
            | {"ORDERFLOW_HTTP_DRAIN": str(drain)}
            | {"ORDERFLOW_HTTP_PORT": str(self._port), "PROVIDER_STATE": str(self._state)}
        )
        env["PYTHONPATH"] = os.pathsep.join(sys.path)
        self.process = subprocess.Popen([sys.executable, "-m", "orderflow_provider"], env=env)
        deadline = time.monotonic() + 30
        while not self._listens():
            assert time.monotonic() < deadline, "the provider does not listen"
            assert self.process.poll() is None, "the provider has ended"
            time.sleep(0.05)

    def _listens(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self._port)) == 0

    def stop(self, how: signal.Signals) -> int:
        """End it and give its exit code."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(10)


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    """A running provider."""
    provider = Provider(tmp_path / "provider.journal")
    provider.start()
    yield provider
    provider.stop(signal.SIGKILL)


@pytest.fixture
async def http(provider: Provider) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the running provider."""
    connector = aiohttp.TCPConnector(force_close=True)  # a restart leaves no stale connection behind
    async with aiohttp.ClientSession(provider.url, connector=connector) as session:
        yield session


async def post(http: aiohttp.ClientSession, path: str, body: Any) -> tuple[int, Any]:
    """Post JSON and give status and answer."""
    async with http.post(path, json=body) as response:
        return response.status, await response.json()


async def get(http: aiohttp.ClientSession, path: str) -> tuple[int, Any]:
    """Give status and answer."""
    async with http.get(path) as response:
        return response.status, await response.json()


async def test_a_payment_and_its_refund_stand_in_the_ledger(http: aiohttp.ClientSession) -> None:
    """Money goes in and out once, and each key can be looked up."""
    status, paid = await post(http, "/payments", PAYMENT)
    assert (status, paid["outcome"]) == (201, "captured")
    refund = {"idempotencyKey": "o1:refund:1", "reference": paid["reference"], "amount": 500}
    assert (await post(http, "/refunds", refund))[0] == 201
    assert await get(http, "/payments/o1:capture") == (200, paid)
    assert (await get(http, "/refunds/o1%3Arefund%3A1"))[1]["outcome"] == "refunded"
    ledger = (await get(http, "/ledger"))[1]
    assert ledger["captured"] == ledger["refunded"] == {"EUR": 500}


async def test_a_lost_answer_is_no_answer_and_can_be_looked_up(http: aiohttp.ClientSession) -> None:
    """The connection is cut before one byte of the answer, and yet the money is taken."""
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await post(http, "/payments", PAYMENT | {"token": "tok_lost"})
    assert (await get(http, "/payments/o1:capture"))[1]["outcome"] == "captured"


@pytest.mark.parametrize(
    ("body", "status", "place"),
    [
        ("{", 400, ""),
        ("[]", 422, "/"),
        ('{"idempotencyKey": "k", "amount": -1, "currency": "EUR", "token": "t"}', 422, "/amount"),
        ('{"idempotencyKey": "k", "amount": 1, "currency": "euro", "token": "t"}', 422, "/currency"),
        ('{"idempotencyKey": "k", "amount": NaN, "currency": "EUR", "token": "t"}', 422, "/amount"),
    ],
)
async def test_a_bad_request_is_explained(http: aiohttp.ClientSession, body: str, status: int, place: str) -> None:
    """The problem names the place, and nothing is taken."""
    async with http.post("/payments", data=body) as response:
        problem = await response.json()
    assert (response.status, response.content_type) == (status, "application/problem+json")
    assert problem["detail"].startswith(place)
    assert (await get(http, "/ledger"))[1]["payments"] == 0


async def test_an_unknown_key_is_not_found(http: aiohttp.ClientSession) -> None:
    """A key that never arrived is told apart from any outcome."""
    assert (await get(http, "/payments/never"))[0] == 404


async def test_faults_can_be_set_while_it_runs(http: aiohttp.ClientSession) -> None:
    """All payments decline as long as it is asked for, and a share above one is refused."""
    assert (await post(http, "/faults", {"declineRate": 1}))[0] == 200
    assert (await post(http, "/payments", PAYMENT))[0] == 402
    assert (await post(http, "/faults", {}))[0] == 200
    assert (await post(http, "/payments", PAYMENT | {"idempotencyKey": "o2"}))[0] == 201
    assert (await post(http, "/faults", {"loseRate": 2}))[0] == 422


async def test_a_killed_provider_remembers_what_it_took(provider: Provider, http: aiohttp.ClientSession) -> None:
    """After SIGKILL and a new start the same key is not taken again."""
    _, paid = await post(http, "/payments", PAYMENT)
    provider.stop(signal.SIGKILL)
    provider.start()
    assert await post(http, "/payments", PAYMENT) == (201, paid)
    assert (await get(http, "/ledger"))[1]["captured"] == {"EUR": 500}


def test_it_ends_when_asked_to(provider: Provider) -> None:
    """SIGTERM ends it in order."""
    assert provider.stop(signal.SIGTERM) == 0


async def test_it_drains_when_asked_to(provider: Provider, http: aiohttp.ClientSession) -> None:
    """Not ready at once; payments are taken until the drain is over, on kept and on new connections, then it ends."""
    provider.stop(signal.SIGTERM)
    provider.start(drain=2)
    assert (await get(http, "/readyz"))[0] == 200
    assert provider.process is not None
    provider.process.send_signal(signal.SIGTERM)

    async def falls() -> bool:
        return (await get(http, "/readyz"))[0] == 503

    await until(falls, "it is not ready")
    assert (await post(http, "/payments", PAYMENT))[0] == 201
    async with aiohttp.ClientSession(provider.url) as keeping, keeping.get("/livez") as answer:
        assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await asyncio.to_thread(provider.process.wait, 10) == 0


async def test_an_answer_under_way_at_the_end_is_given(provider: Provider, http: aiohttp.ClientSession) -> None:
    """A payment whose answer takes its time is answered, though the end was asked for meanwhile."""
    assert (await post(http, "/faults", {"latencyMs": 2000}))[0] == 200
    paying = asyncio.create_task(post(http, "/payments", PAYMENT))
    await asyncio.sleep(0.5)
    assert await asyncio.to_thread(provider.stop, signal.SIGTERM) == 0
    assert (await paying)[0] == 201
