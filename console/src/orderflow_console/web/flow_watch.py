"""The flow's figures of this moment, read once however many look at them.

Nothing is read while nobody looks.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from orderflow_console.metrics.rates import Arrow
from orderflow_console.queries.lag import Lag

_FRESH_SECONDS = 1.0


class Health(StrEnum):
    """How a service does, from good to bad; each has a colour and a shape of its own."""

    GOOD = "good"
    WAITING = "waiting"
    DEAD = "dead"
    SILENT = "silent"


@dataclass(frozen=True)
class ServiceFigures:
    """A service: whether it answers, its events that wait for an attempt, and its dead letters."""

    name: str
    answers: bool
    parked: int
    dead: int

    @property
    def health(self) -> Health:
        """What of it a person should look at first."""
        if not self.answers:
            return Health.SILENT
        if self.dead:
            return Health.DEAD
        return Health.WAITING if self.parked else Health.GOOD


@dataclass(frozen=True)
class FlowFigures:
    """All of one moment: arrows by event and subscriber, lags by schema and topic; `problem`: what was not read."""

    arrows: Mapping[tuple[str, str], Arrow]
    services: Mapping[str, ServiceFigures]
    lags: Mapping[tuple[str, str], Lag]
    problem: str | None = None


class FlowWatch:
    """Gives figures that are at most a second old; `read` takes a new reading."""

    def __init__(self, read: Callable[[], Awaitable[FlowFigures]], clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read, clock
        self._reading = asyncio.Lock()
        self._latest: tuple[float, FlowFigures] | None = None

    async def now(self) -> FlowFigures:
        """Return the figures, read anew where those of before are old."""
        async with self._reading:
            if self._latest is None or self._clock() - self._latest[0] >= _FRESH_SECONDS:
                self._latest = (self._clock(), await self._read())
            return self._latest[1]

    async def follow(self) -> AsyncIterator[FlowFigures]:
        """Yield figures every second."""
        while True:
            yield await self.now()
            await asyncio.sleep(_FRESH_SECONDS)
