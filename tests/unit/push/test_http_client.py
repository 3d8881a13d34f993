"""The client of the program beside the dispatcher: whatever form an answer has, and however a connection ends."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from orderflow_cli.servers.ports import free_port
from orderflow_push.http_client import Answer, DisconnectedError, HttpClient, UnreachableError

REQUEST = b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\n\r\n"
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def ask(answers: list[bytes], times: int, loop: Callable[[], asyncio.AbstractEventLoop]) -> list[Answer]:
    """Send so many requests to a server that answers each with the next of these bytes; b"" is a connection closed."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while left:
            try:
                await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            writer.write(answer := left.pop(0))
            if b"close" in answer or not answer:
                break
        writer.close()

    async def run() -> list[Answer]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        client = HttpClient(server.sockets[0].getsockname()[1])
        try:
            return [await client.send(REQUEST, 5) for _ in range(times)]
        finally:
            client.close()
            server.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(run())


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab", b"ab"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n", b"ab"),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nab", b"ab"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-A: b\r\ncontent-length: 2\r\n\r\nab", b"ab"),
        (b"HTTP/1.0 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nab", b"ab"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
def test_an_answer_is_read_whole_whatever_its_form(answer: bytes, body: bytes, loop: str) -> None:
    """Twice, on one connection or two."""
    found = ask([answer, answer], 2, LOOPS[loop])
    assert [one.body for one in found] == [body, body]
    assert {one.status for one in found} <= {200, 204}


@pytest.mark.parametrize("loop", LOOPS)
def test_a_connection_that_was_closed_meanwhile_is_made_anew(loop: str) -> None:
    """A server may close what is idle just as the request goes out: nothing of that is an answer."""
    ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    assert [one.status for one in ask([ok, b"", ok], 2, LOOPS[loop])] == [200, 200]


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nx: close\r\n\r\nab", b"SMTP close\r\n\r\n"]
)
def test_what_is_no_whole_answer_is_an_error(answer: bytes) -> None:
    """On a new connection it is not sent again: the program may have done it."""
    with pytest.raises(DisconnectedError):
        ask([answer, answer], 1, LOOPS["uvloop"])


async def test_a_port_on_which_nobody_listens_is_said_to_be_that() -> None:
    """It is told from an exchange that failed."""
    with pytest.raises(UnreachableError):
        await HttpClient(free_port()).send(REQUEST, 5)
