"""What the server of a process without an API answers, whoever asks and however."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import SO_ACCEPTCONN, SOL_SOCKET

import pytest

from orderflow_runtime import http_server
from orderflow_runtime.ending import Ending
from orderflow_runtime.endpoints import Endpoints, Probes
from orderflow_runtime.http_server import listen, serve
from support.flow.fleet import until

HEALTH = {"one": Probes(lambda: True, lambda: "", lambda: "")}
GET = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"


@asynccontextmanager
async def serving(keep_alive: int = 30) -> AsyncIterator[tuple[int, Ending]]:
    """Serve one healthy service and a page of metrics that says what was asked for; gives the port."""
    listener, ending = listen("127.0.0.1", 0, "PORT"), Ending(0)
    endpoints = Endpoints(HEALTH, lambda accept: (f"page for {accept}".encode(), "text/x"))
    server = asyncio.create_task(serve(endpoints, listener, ending, keep_alive))
    await until(lambda: listener.getsockopt(SOL_SOCKET, SO_ACCEPTCONN), "it listens", 5, 0.01)
    try:
        yield listener.getsockname()[1], ending
    finally:
        ending.due.set()
        await asyncio.wait_for(server, 5)


async def told(port: int, sent: bytes) -> str:
    """Send bytes and give all that comes back until the server closes, or for a second."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    found = b""
    try:
        async with asyncio.timeout(1):
            while part := await reader.read(65_536):
                found += part
    except TimeoutError:
        found += b"<open>"
    writer.close()
    return found.decode()


@pytest.mark.parametrize(
    ("sent", "status", "end"),
    [
        (GET, "200", "ok<open>"),
        (b"GET /livez/one?x=/ HTTP/1.1\r\nhost: x\r\n\r\n", "200", "ok<open>"),
        (b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "200", "ok"),
        (b"GET /livez HTTP/1.0\r\n\r\n", "200", "ok"),
        (b"HEAD /livez HTTP/1.1\r\nhost: x\r\n\r\n", "200", "\r\n\r\n<open>"),
        (b"GET /metrics HTTP/1.1\r\nhost: x\r\naccept: a/b\r\n\r\n", "200", "page for a/b<open>"),
        (b"GET /metrics/more HTTP/1.1\r\nhost: x\r\n\r\n", "404", "<open>"),
        (b"GET /livez/nobody HTTP/1.1\r\nhost: x\r\n\r\n", "404", "here are: one<open>"),
        (b"GET /%C3%A4%00 HTTP/1.1\r\nhost: x\r\n\r\n", "404", "Not Found<open>"),
        (b"GET /\xc3\xa4 HTTP/1.1\r\nhost: x\r\n\r\n", "400", "this is no HTTP request"),
        (b"POST /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhel", "405", "GET or HEAD"),
        (b"POST /livez HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", "405", "GET or HEAD"),
        (b"GET /livez HTTP/1.1\r\n\r\n", "400", "this is no HTTP request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400", "this is no HTTP request"),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else str(value),
)
async def test_what_is_asked_is_answered_and_what_is_no_request_refused(sent: bytes, status: str, end: str) -> None:
    """In the forms of HTTP that probes, proxies and people use; a body is not read, and its connection closed."""
    async with serving() as (port, _):
        answer = await told(port, sent)
        assert answer.startswith(f"HTTP/1.1 {status} ")
        assert answer.endswith(end)
        assert (await told(port, GET)).endswith("ok<open>"), "others are served on"


async def test_requests_that_come_at_once_are_answered_in_their_order() -> None:
    """A client may send the next before it has the answer to the last."""
    async with serving() as (port, _):
        answer = await told(port, GET + b"GET /no HTTP/1.1\r\nhost: x\r\n\r\n" + GET)
    assert re.findall(r"HTTP/1.1 (\d+)", answer) == ["200", "404", "200"]


async def test_a_connection_is_kept_as_long_as_is_told_and_never_closed_before_its_first_answer() -> None:
    """Not to keep any means one request a connection, not none."""
    async with serving(keep_alive=0) as (port, _):
        assert (await told(port, GET)).endswith("ok")


async def test_who_sends_a_request_bit_by_bit_holds_a_connection_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that is waited for a request is that of all of it."""
    monkeypatch.setattr(http_server, "_FIRST_SECONDS", 0.2)
    async with serving() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        closed = asyncio.create_task(reader.read())
        for byte in GET[:20]:
            writer.write(bytes([byte]))
            await asyncio.wait({closed}, timeout=0.05)
            if closed.done():
                break
        writer.close()
        assert closed.done()
        await asyncio.gather(closed, return_exceptions=True)  # it was sent to after its close, or not


async def test_an_end_closes_open_connections_and_leaves_no_port_taken() -> None:
    """What waits for a request that does not come holds up no end."""
    async with serving() as (port, ending):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        assert b"200" in await reader.readline()
        ending.due.set()
        assert (await asyncio.wait_for(reader.read(), 2)).endswith(b"ok")
        writer.close()
    listen("127.0.0.1", port, "PORT").close()
