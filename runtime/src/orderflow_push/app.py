"""The program beside the dispatcher, as its recipients reach it: by requests, and by nothing else.

That nobody listens on its port is no failed attempt of any event: they wait until somebody does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from random import random
from typing import TypeVar

from orderflow_push.http_client import HOST, Answer, DisconnectedError, HttpClient, UnreachableError
from orderflow_runtime import NotTakenError

R = TypeVar("R")

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.02, 1.0


class App:
    """A program on a port of this machine. Each request has as many `seconds`, from when it is reached."""

    def __init__(self, port: int, seconds: float, jitter: Callable[[], float] = random) -> None:
        self._client = HttpClient(port)
        self._seconds = seconds
        self._jitter = jitter
        self._host = f"{HOST}:{port}"
        self.obstacle = ""
        self.arrivals = 0
        """how often it was reached after it was not there: it may be another version then"""

    async def wait(self) -> None:
        """Wait until somebody listens."""
        await self._reached(self._client.connect)

    async def post(self, path: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """Return the answer to a POST; raise `NotTakenError` where there is none."""
        lines = [f"POST {path} HTTP/1.1", f"host: {self._host}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        return await self._answered("\r\n".join([*lines, "\r\n"]).encode("latin-1") + body)

    async def get(self, path: str) -> Answer:
        """Return the answer to a GET; raise `NotTakenError` where there is none."""
        return await self._answered(f"GET {path} HTTP/1.1\r\nhost: {self._host}\r\n\r\n".encode("latin-1"))

    async def close(self) -> None:
        """Close the connections."""
        self._client.close()

    async def _answered(self, request: bytes) -> Answer:
        try:
            return await self._reached(partial(self._client.send, request, self._seconds))
        except DisconnectedError as error:
            raise NotTakenError(f"the service's own program gave no answer: {error}") from None
        except TimeoutError:
            raise NotTakenError(f"the service's own program gave no answer in {self._seconds:g} s") from None

    async def _reached(self, ask: Callable[[], Awaitable[R]]) -> R:
        """Ask until somebody listens, and return what comes of it."""
        wait = _FIRST_WAIT_SECONDS
        while True:
            try:
                result = await ask()
            except UnreachableError as error:
                self.obstacle = f"the service's own program is not there: {error}"
                await asyncio.sleep(wait * (0.5 + self._jitter() / 2))
                wait = min(wait * 2, _LONGEST_WAIT_SECONDS)
                continue
            if self.obstacle:
                self.obstacle, self.arrivals = "", self.arrivals + 1
            return result
