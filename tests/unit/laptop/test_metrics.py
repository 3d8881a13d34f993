"""What the live view makes of `/metrics` of any program: figures, or none, and never an end of the run."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from orderflow_console.metrics import scrape as metrics
from orderflow_console.metrics.scrape import Counts, scrape

OURS = b'orderflow_events_processed_total{event="PAID"} 3.0\norderflow_parked 2\norderflow_events_dead_total 1\n'

FOREIGN = {
    "a page": b"<!DOCTYPE html><html><body>Not here</body></html>",
    "json": b'{"requests": 12}',
    "bytes of a picture": bytes(range(256)) * 4,
    "gzip without saying so": gzip.compress(OURS),
    "nothing": b"",
    "other metrics": b"go_goroutines 9\n",
    "a count without its event": b"orderflow_events_processed_total 3\n",
    "a count that is no number": b"orderflow_parked many\n",
    "a count beyond numbers": b"orderflow_parked NaN\n",
    "an infinite count": b"orderflow_events_dead_total +Inf\n",
    "a negative count": b"orderflow_parked -1\n",
    "a label that does not end": b'orderflow_events_processed_total{event="PAID 3\n',
    "a line cut off": OURS[:30],
    "more than any service says": OURS + b"# \n" * 1_000_000,
}


class Foreign:
    """A program on loopback whose `/metrics` answers what a test says."""

    def __init__(self) -> None:
        self.body = b""
        self.headers: dict[str, str] = {}
        self.endless = False
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer the body; endless ones go on after it."""
        response = web.StreamResponse(headers=self.headers)
        await response.prepare(request)
        await response.write(self.body)
        while self.endless:
            await response.write(b"# more\n" * 1000)
            await asyncio.sleep(0.001)
        return response


@pytest.fixture
async def foreign() -> AsyncIterator[Foreign]:
    """The program, listening on a free port."""
    program = Foreign()
    app = web.Application()
    app.router.add_get("/metrics", program.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    program.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield program
    await runner.cleanup()


async def read(program: Foreign) -> dict[str, Counts]:
    """Scrape the program as the service `payment`."""
    async with aiohttp.ClientSession() as session:
        return await scrape(session, {"payment": program.url})


async def test_our_figures_are_read(foreign: Foreign) -> None:
    """What the runtime says of itself becomes counts."""
    foreign.body = OURS
    assert await read(foreign) == {"payment": Counts(processed={"PAID": 3}, dead=1, parked=2)}


async def test_a_service_that_has_counted_nothing_is_known(foreign: Foreign) -> None:
    """It names its metrics before it has figures: zero, not unknown."""
    foreign.body = b"# TYPE orderflow_events_processed_total counter\n"
    assert await read(foreign) == {"payment": Counts()}


@pytest.mark.parametrize("what", FOREIGN)
async def test_what_is_no_metrics_is_no_answer(foreign: Foreign, what: str) -> None:
    """Text, bytes and figures of somebody else give no counts and raise nothing."""
    foreign.body = FOREIGN[what]
    assert await read(foreign) == {}


@pytest.mark.parametrize(
    "headers",
    [{"Content-Encoding": "gzip"}, {"Content-Encoding": "br"}, {"Content-Type": "text/plain; charset=nonsense"}],
    ids=["no gzip", "no brotli", "odd charset"],
)
async def test_headers_that_lie_break_nothing(foreign: Foreign, headers: dict[str, str]) -> None:
    """A body that is not what its headers say is no metrics, or is read all the same."""
    foreign.headers, foreign.body = headers, OURS
    assert await read(foreign) in ({}, {"payment": Counts(processed={"PAID": 3}, dead=1, parked=2)})


async def test_an_answer_without_end_is_given_up(foreign: Foreign) -> None:
    """It costs neither memory nor more than the view's patience."""
    foreign.body, foreign.endless = OURS, True
    async with asyncio.timeout(5):
        assert await read(foreign) == {}


async def test_a_port_that_speaks_no_http_is_no_answer() -> None:
    """Another program took the port: its bytes are no metrics."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\x00\x00\x2a" * 5000)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert await scrape(session, {"payment": url}) == {}


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode) | st.binary(max_size=40).map(OURS.__add__))
def test_no_text_breaks_the_reader(text: bytes) -> None:
    """Whatever stands there, it is counts or nothing."""
    found = metrics._parse(text)
    assert found is None or found.parked >= 0
