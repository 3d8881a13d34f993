"""Sends batches of orders to the order service and waits out its absences: an order placed twice is one order."""

import asyncio
import random
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import aiohttp
from pydantic_core import from_json

from orderflow_cli.bulk_load.rows import LoadError

Result = dict[str, Any]

_TIMEOUT = aiohttp.ClientTimeout(total=60)
_HEADERS = {"content-type": "application/x-ndjson"}
_FIRST_DELAY_SECONDS, _LONGEST_DELAY_SECONDS = 0.2, 5.0
PATIENCE_SECONDS = 120.0


class OrderClient:
    """A client of `url`/orders/batch; it gives up when for `patience` seconds no answer came."""

    def __init__(self, session: aiohttp.ClientSession, url: str, patience: float = PATIENCE_SECONDS) -> None:
        self._session = session
        self._url = f"{url.rstrip('/')}/orders/batch"
        self._patience = patience
        self._random = random.Random()  # noqa: S311 - it spreads retries

    async def place(self, orders: Sequence[bytes]) -> list[Result]:
        """Return the result of each order, in order; raise `LoadError` when it could not be had."""
        loop = asyncio.get_running_loop()
        deadline, delay = loop.time() + self._patience, _FIRST_DELAY_SECONDS
        while True:
            answer = await self._attempt(b"\n".join(orders), len(orders))
            if not isinstance(answer, str):
                return answer
            if loop.time() > deadline:
                raise LoadError(f"{self._url} took no orders for {self._patience:.0f} s: {answer}", _REPEAT)
            await asyncio.sleep(delay * (0.5 + self._random.random() / 2))
            delay = min(delay * 2, _LONGEST_DELAY_SECONDS)

    async def _attempt(self, body: bytes, orders: int) -> list[Result] | str:
        """Return the results, or why to ask again."""
        try:
            async with self._session.post(self._url, data=body, headers=_HEADERS, timeout=_TIMEOUT) as answer:
                text = await answer.read()
        except aiohttp.InvalidURL:
            raise LoadError(f"{self._url} is no address", "Give the order service's with --url") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            return str(error) or type(error).__name__
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            return f"it answers {answer.status}"
        return self._results(answer.status, text, orders)

    def _results(self, status: int, text: bytes, orders: int) -> list[Result]:
        try:
            results: list[Result] = from_json(text)["results"] if status == HTTPStatus.OK else []
        except (ValueError, KeyError, TypeError):
            results = []
        if len(results) != orders:
            said = text[:200].decode(errors="replace")
            raise LoadError(f"{self._url} answers {status}: {said}", "Is --url the order service's address?")
        return results


_REPEAT = "Give the command again to go on where it was"
