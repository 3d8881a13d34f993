"""Places orders on the running flow: as fast as they end (closed loop), or at a fixed rate (open loop)."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import aiohttp
from arrivals import Arrivals
from orders import Placed, batches

BATCH = 500
IN_FLIGHT = 2_500
"""How many orders a closed loop keeps under way. They move in waves: a round must be longer than one."""
_DRAIN_SECONDS = 60
_AGAIN_SECONDS = 0.05


class _AwayError(RuntimeError):
    """The service is there and cannot take orders now."""


@dataclass(frozen=True)
class Client:
    """A way to the order service, and the eye on what ends."""

    http: aiohttp.ClientSession
    url: str
    arrivals: Arrivals

    async def closed_loop(self, orders: Sequence[Placed]) -> list[float]:
        """Place all by POST /orders/batch, as many at once as IN_FLIGHT allows; give when each ended, ascending."""
        prepared, before = list(batches(orders, BATCH)), len(self.arrivals.at)
        for number, (_, body) in enumerate(prepared):
            while number * BATCH - (len(self.arrivals.at) - before) > IN_FLIGHT - BATCH:  # noqa: ASYNC110 - a thread counts
                await asyncio.sleep(0.005)
            await self._post("/orders/batch", body, {"content-type": "application/x-ndjson"})
        return sorted(await self._ends(orders))

    async def open_loop(self, orders: Sequence[Placed], rate: float) -> "OpenLoop":
        """Place one by one by POST /orders, each at its own time, not waiting for any other."""
        start = time.monotonic() + 0.2
        intended = [start + number / rate for number in range(len(orders))]
        async with asyncio.TaskGroup() as group:
            posts = [group.create_task(self._post_at(at, order)) for at, order in zip(intended, orders, strict=True)]
        ended = await self._ends(orders)
        return OpenLoop(intended, [post.result() for post in posts], ended)

    async def _ends(self, orders: Sequence[Placed]) -> list[float]:
        ids = [order.id for order in orders]
        await self.arrivals.wait_for(ids, _DRAIN_SECONDS)
        return [self.arrivals.at[order] for order in ids]

    async def _post_at(self, at: float, order: Placed) -> float:
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        headers = {"content-type": "application/json", "idempotency-key": order.key}
        async with asyncio.timeout(_DRAIN_SECONDS):
            while not await self._accepts(order.body, headers):  # noqa: ASYNC110 - nothing tells when it is back
                await asyncio.sleep(_AGAIN_SECONDS)
        return time.monotonic()

    async def _accepts(self, body: bytes, headers: dict[str, str]) -> bool:
        """Place an order; give False while the service is away. By its key a repeat is the same order."""
        try:
            await self._post("/orders", body, headers)
        except (aiohttp.ClientError, _AwayError):
            return False
        return True

    async def _post(self, path: str, body: bytes, headers: dict[str, str]) -> None:
        async with self.http.post(self.url + path, data=body, headers=headers) as answer:
            text = await answer.text()
            if answer.status == 503:
                raise _AwayError(f"POST {path} answered 503: {text[:300]}")
            if answer.status not in (200, 201):
                raise RuntimeError(f"POST {path} answered {answer.status}: {text[:300]}")


@dataclass(frozen=True)
class OpenLoop:
    """When orders were to be placed, were accepted, and had ended (monotonic seconds)."""

    intended: Sequence[float]
    accepted: Sequence[float]
    ended: Sequence[float]

    def summary(self) -> dict[str, Any]:
        """Give percentiles from the intended start, in milliseconds: a late client counts against us."""
        whole = sorted(end - start for start, end in zip(self.intended, self.ended, strict=True))
        accept = sorted(end - start for start, end in zip(self.intended, self.accepted, strict=True))
        return {
            "orders": len(whole),
            **{f"p{name}_ms": _percentile(whole, share) for name, share in _SHARES.items()},
            "accept_p50_ms": _percentile(accept, 0.5),
            "accept_p99_ms": _percentile(accept, 0.99),
        }

    def recovery(self, killed: float) -> dict[str, float]:
        """Give seconds from the kill to the first order placed after it that ended, and until the backlog was gone.

        Gone means: no more orders under way than at most in the second before the kill.
        """
        first = min(end for start, end in zip(self.intended, self.ended, strict=True) if start > killed)
        before = max(self._under_way(killed - step / 20) for step in range(21))
        drained = min(end for end in self.ended if end > first and self._under_way(end) <= before)
        return {"first_s": round(first - killed, 3), "drained_s": round(drained - killed, 3)}

    def _under_way(self, at: float) -> int:
        return sum(start <= at for start in self.intended) - sum(end <= at for end in self.ended)


_SHARES = {"50": 0.5, "99": 0.99, "999": 0.999}


def _percentile(ascending: Sequence[float], share: float) -> float:
    return round(1000 * ascending[min(len(ascending) - 1, int(len(ascending) * share))], 2)


def steady_rates(ends: Sequence[float], rounds: int) -> list[float]:
    """Cut ascending times into equal rounds, and leave out the first and the last (filling and draining).

    Gives the orders a second of each round that is left.
    """
    size = len(ends) // (rounds + 2)
    marks = [ends[number * size] for number in range(1, rounds + 2)]
    return [size / (end - start) for start, end in pairwise(marks)]
