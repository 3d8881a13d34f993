"""A proxy before Postgres that loses COMMITs: the command on its way there, or its answer on its way back.

Tests put it between a fleet and its database. It runs in a thread of its own, with its own event loop.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from random import Random
from urllib.parse import urlsplit

_COMMIT, _END = b"\x00COMMIT\x00", 64
"""COMMIT is the last statement of what is sent with it, in so many bytes of its end."""
_DONE = b"COMMIT\x00"
_CHUNK = 65_536


class LosingProxy:
    """Forwards everything but, while `share` > 0, that share of the COMMITs; counts what it lost."""

    def __init__(self, host: str, port: int, random: Random) -> None:
        self._target = (host, port)
        self._random = random
        self._which = cycle(("answer", "answer", "command"))
        self.share = 0.0
        self.lost = {"answer": 0, "command": 0}
        self.port = 0

    async def serve(self, listening: threading.Event) -> None:
        """Accept connections until cancelled."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        listening.set()
        async with server:
            await server.serve_forever()

    async def _connected(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        to_server = None
        try:
            server, to_server = await asyncio.open_connection(*self._target)
            dropping = asyncio.Event()
            ways = [
                asyncio.create_task(self._forward(client, to_server, dropping)),
                asyncio.create_task(_return(server, to_client, dropping)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
        except OSError:
            pass
        finally:
            for writer in (to_client, to_server):
                if writer is not None:
                    writer.transport.abort()

    async def _forward(self, client: asyncio.StreamReader, server: asyncio.StreamWriter, drop: asyncio.Event) -> None:
        with suppress(OSError):
            while chunk := await client.read(_CHUNK):
                if _COMMIT in chunk[-_END:] and self._random.random() < self.share:
                    lost = next(self._which)
                    self.lost[lost] += 1
                    if lost == "command":
                        return
                    drop.set()
                server.write(chunk)
                await server.drain()


async def _return(server: asyncio.StreamReader, client: asyncio.StreamWriter, dropping: asyncio.Event) -> None:
    """Carry answers back; when the connection is doomed, wait for the commit to be done and say nothing."""
    with suppress(OSError):
        while chunk := await server.read(_CHUNK):
            if dropping.is_set() and _DONE in chunk:
                return
            client.write(chunk)
            await client.drain()


@contextmanager
def losing_proxy(url: str, random: Random) -> Iterator[tuple[LosingProxy, str]]:
    """Run a proxy before the database at `url`; give it, and the URL through it."""
    parts = urlsplit(url)
    proxy, listening = LosingProxy(parts.hostname or "", parts.port or 5432, random), threading.Event()
    loop = asyncio.new_event_loop()
    serving = loop.create_task(proxy.serve(listening))
    thread = threading.Thread(target=_run, args=(loop, serving))
    thread.start()
    try:
        assert listening.wait(10)
        yield proxy, parts._replace(netloc=parts.netloc.rpartition(":")[0] + f":{proxy.port}").geturl()
    finally:
        loop.call_soon_threadsafe(serving.cancel)
        thread.join(10)


def _run(loop: asyncio.AbstractEventLoop, serving: "asyncio.Task[None]") -> None:
    with suppress(asyncio.CancelledError):
        loop.run_until_complete(serving)
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
