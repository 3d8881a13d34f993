"""A client of the order service's `POST /orders/batch` that waits out its absences: an order placed twice is one order.

The orders it is given carry an idempotency key each, so a batch whose answer was lost is sent again as it was.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp
from pydantic import HttpUrl, TypeAdapter
from pydantic_core import from_json

from orderflow_cli.errors import LaptopError

Result = dict[str, Any]
"""What became of an order: `status` as of a request of its own, with `id` or `problem`."""

_TIMEOUT = aiohttp.ClientTimeout(total=60)
_HEADERS = {"content-type": "application/x-ndjson"}
_FIRST_DELAY_SECONDS, _LONGEST_DELAY_SECONDS = 0.2, 5.0


class OrdersNotTakenError(LaptopError):
    """The order service was away for longer than one is willing to wait."""


class NoOrderServiceError(LaptopError):
    """What is there is no address, or answers as no order service does: to ask again would not help."""


class OrderClient:
    """A client of `url`/orders/batch; it gives up when for `patience` seconds no answer came."""

    def __init__(self, session: aiohttp.ClientSession, url: str, patience: float = 120.0) -> None:
        self._session = session
        self._url = f"{url.rstrip('/')}/orders/batch"
        self._patience = patience
        self._random = random.Random()  # noqa: S311 - it spreads retries

    async def place(self, orders: Sequence[bytes]) -> list[Result]:
        """Return the result of each order, each a JSON object, in order.

        Raise `OrdersNotTakenError` or `NoOrderServiceError`; what of the orders was placed stays placed.
        """
        if not _is_address(self._url):
            raise NoOrderServiceError(f"{self._url} is no address", _OTHER)
        loop = asyncio.get_running_loop()
        deadline, delay = loop.time() + self._patience, _FIRST_DELAY_SECONDS
        while True:
            answer = await self._attempt(b"\n".join(orders), len(orders))
            if not isinstance(answer, str):
                return answer
            if loop.time() > deadline:
                raise OrdersNotTakenError(f"{self._url} took no orders for {self._patience:.0f} s: {answer}", _REPEAT)
            await asyncio.sleep(delay * (0.5 + self._random.random() / 2))
            delay = min(delay * 2, _LONGEST_DELAY_SECONDS)

    async def _attempt(self, body: bytes, orders: int) -> list[Result] | str:
        """Return the results, or why to ask again."""
        try:
            async with self._session.post(self._url, data=body, headers=_HEADERS, timeout=_TIMEOUT) as answer:
                text = await answer.read()
        except aiohttp.InvalidURL:
            raise NoOrderServiceError(f"{self._url} is no address", _OTHER) from None
        except (aiohttp.ClientError, TimeoutError) as error:
            return str(error) or type(error).__name__
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            return f"it answers {answer.status}"
        return self._results(answer.status, text, orders)

    def _results(self, status: int, text: bytes, orders: int) -> list[Result]:
        try:
            results = from_json(text)["results"] if status == HTTPStatus.OK else None
        except (ValueError, KeyError, TypeError):
            results = None
        if not isinstance(results, list) or len(results) != orders or not all(map(_is_result, results)):
            said = text[:200].decode(errors="replace")
            raise NoOrderServiceError(f"{self._url} answers {status}: {said}", _OTHER)
        return results


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of an order that was to be cancelled or resumed; `problem` says why nothing did."""

    id: str
    state: str | None = None
    reason: str | None = None
    problem: str | None = None
    unknown: bool = False


async def decide(url: str, order_id: str, verb: str) -> Decided:
    """Ask the order service at `url` to `cancel` or `resume` an order; raise `NoOrderServiceError` or
    `OrdersNotTakenError`. To ask again is safe.
    """
    address = f"{url.rstrip('/')}/orders/{quote(order_id, safe='', errors='replace')}/{verb}"
    if not _is_address(address):
        raise NoOrderServiceError(f"{url} is no address", _OTHER)
    try:
        async with aiohttp.ClientSession() as session, session.post(address, timeout=_TIMEOUT) as answer:
            status, text = answer.status, await answer.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise OrdersNotTakenError(f"{url} does not answer: {error or type(error).__name__}", _AGAIN) from None
    try:
        told = from_json(text)
        if status == HTTPStatus.ACCEPTED:
            return Decided(told["id"], told["state"], told["reason"])
        problem = str(told["detail"])
    except (ValueError, KeyError, TypeError):
        raise NoOrderServiceError(f"{url} answers {status}: {text[:200].decode(errors='replace')}", _OTHER) from None
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise OrdersNotTakenError(f"{url} answers {status}: {problem}", _AGAIN)
    return Decided(order_id, problem=problem, unknown=status == HTTPStatus.NOT_FOUND)


def _is_address(url: str) -> bool:
    """Return whether a host can be looked up by it: a name that DNS has no letters for is refused, not waited for."""
    try:
        (_HTTP_URL.validate_python(url).host or "").encode("idna")
    except ValueError:
        return False
    return True


def _is_result(value: Any) -> bool:
    """Return whether this says what became of an order, so that nothing else is counted as one."""
    if not isinstance(value, dict) or type(value.get("status")) is not int:
        return False
    problem = value.get("problem", {})
    known = value["status"] in _TAKEN or value["status"] >= HTTPStatus.BAD_REQUEST
    return known and isinstance(problem, dict) and isinstance(problem.get("errors", []), list)


_HTTP_URL = TypeAdapter(HttpUrl)
_TAKEN = (HTTPStatus.OK, HTTPStatus.CREATED)
_OTHER = "Is that the order service's address?"
_AGAIN = "Try again: it is safe"
_REPEAT = "Give the command again to go on where it was"
