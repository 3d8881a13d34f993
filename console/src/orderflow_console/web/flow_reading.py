"""Takes a reading of the whole flow for its picture: what services count, what waits in the database and in Kafka.

Whatever does not answer is told beside what does: the picture is most needed when something is broken.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable

import aiohttp

from orderflow_console.metrics.rates import Rates
from orderflow_console.metrics.scrape import Counts, scrape
from orderflow_console.queries.database import Database
from orderflow_console.queries.dead_letters import count_dead_letters
from orderflow_console.queries.errors import ReadError
from orderflow_console.queries.kafka import Options
from orderflow_console.queries.lag import Lag, LagReader
from orderflow_console.settings import ConsoleConfig
from orderflow_console.web.flow_watch import FlowFigures, ServiceFigures
from orderflow_model.names import schema_name

_LAG_SECONDS = 5.0
"""It asks Kafka for a record of each partition that is behind, so it is asked for less often than the rest."""


class FlowReader:
    """Reads a flow's figures; what could not be read stays as it was, and is told."""

    def __init__(self, config: ConsoleConfig, database: Database, kafka: Options, http: aiohttp.ClientSession) -> None:
        self._config, self._database, self._http = config, database, http
        self._rates = Rates(config.flow)
        self._lag_reader = LagReader(database, kafka)
        self._lags: tuple[Lag, ...] = ()
        self._lags_at = 0.0
        self._dead: Counter[str] = Counter()

    async def read(self) -> FlowFigures:
        """Return the figures of now."""
        counts, *problems = await asyncio.gather(
            scrape(self._http, self._config.urls), self._read_dead(), self._read_lags()
        )
        arrows = {(arrow.event, arrow.subscriber): arrow for arrow in self._rates.arrows(counts, time.monotonic())}
        services = {name: self._service(name, counts.get(name)) for name in self._config.urls}
        return FlowFigures(arrows, services, {(lag.service, lag.topic): lag for lag in self._lags}, _joined(problems))

    def _service(self, name: str, counts: Counts | None) -> ServiceFigures:
        parked = int(counts.parked) if counts else 0
        return ServiceFigures(name, counts is not None, parked, self._dead[schema_name(name)])

    async def _read_dead(self) -> str | None:
        try:
            groups = await count_dead_letters(self._database)
        except ReadError as error:
            return str(error)
        self._dead = Counter()
        for group in groups:
            self._dead[group.service] += group.letters
        return None

    async def _read_lags(self) -> str | None:
        if time.monotonic() - self._lags_at < _LAG_SECONDS:
            return None
        try:
            self._lags = await self._lag_reader.read()
        except ReadError as error:
            return str(error)
        self._lags_at = time.monotonic()
        return None


def _joined(problems: Iterable[str | None]) -> str | None:
    return " ".join(dict.fromkeys(problem for problem in problems if problem)) or None
