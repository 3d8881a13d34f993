"""Takes a reading of the whole flow for its picture: what services count, what waits in the database and in Kafka.

Whatever does not answer is told beside what does: the picture is most needed when something is broken.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping

import aiohttp

from orderflow_console.metrics.rates import Rates
from orderflow_console.metrics.scrape import Counts, scrape, unready
from orderflow_console.queries.database import Database
from orderflow_console.queries.dead_letters import count_by_service
from orderflow_console.queries.errors import ReadError
from orderflow_console.queries.kafka import Options
from orderflow_console.queries.lag import Lag, LagReader
from orderflow_console.queries.progress import Progress, get_progress
from orderflow_console.settings import ConsoleConfig
from orderflow_console.web.flow_watch import FlowFigures, ServiceFigures
from orderflow_model.names import schema_name
from orderflow_model.topics import event_topic

_LAG_SECONDS = 5.0
"""It asks Kafka for a record of each partition that is behind, so it is asked for less often than the rest."""

_PATIENCE_SECONDS = 0.5
_NOT_YET = "Kafka has not told yet how far services are behind."


class FlowReader:
    """Reads a flow's figures; what could not be read stays as it was, and is told."""

    def __init__(self, config: ConsoleConfig, database: Database, kafka: Options, http: aiohttp.ClientSession) -> None:
        self._config, self._database, self._http = config, database, http
        self._rates = Rates(config.flow)
        self._lag_reader = LagReader(database, kafka)
        self._lags: tuple[Lag, ...] = ()
        self._lags_at = 0.0
        self._lag_problem: str | None = None
        self._asking: asyncio.Task[tuple[Lag, ...]] | None = None
        self._dead: Mapping[str, int] = {}
        self._progress: Mapping[str, Progress] = {}

    async def read(self) -> FlowFigures:
        """Return the figures of now."""
        (counts, unknown), *problems = await asyncio.gather(self._counts(), self._read_dead(), self._read_lags())
        problems.append(unknown)
        arrows = {(arrow.event, arrow.subscriber): arrow for arrow in self._rates.arrows(counts, time.monotonic())}
        services = {name: self._service(name, counts.get(name)) for name in self._config.urls}
        return FlowFigures(arrows, services, {(lag.service, lag.topic): lag for lag in self._lags}, _joined(problems))

    async def _counts(self) -> tuple[dict[str, Counts], str | None]:
        """Return what services count: on a laptop as they say it; in a cluster of many pods, as they store it."""
        urls = self._config.urls
        if self._config.state is not None:
            return await scrape(self._http, urls), None
        silent = await unready(self._http, {name: f"{url}/readyz" for name, url in urls.items()})
        problem = None
        try:
            self._progress = await get_progress(self._database)
        except ReadError as error:
            problem = str(error)
        heard = (name for name in urls if name not in silent)
        return {name: self._stored(self._progress.get(schema_name(name), Progress())) for name in heard}, problem

    def _stored(self, progress: Progress) -> Counts:
        flow = self._config.flow
        topics = {event.name: event_topic(flow, event).name for event in flow.spec.events}
        processed = {event: float(progress.records.get(topic, 0)) for event, topic in topics.items()}
        return Counts(processed=processed, parked=progress.parked)

    def _service(self, name: str, counts: Counts | None) -> ServiceFigures:
        parked = int(counts.parked) if counts else 0
        return ServiceFigures(name, counts is not None, parked, self._dead.get(schema_name(name), 0))

    async def _read_dead(self) -> str | None:
        try:
            self._dead = await count_by_service(self._database)
        except ReadError as error:
            return str(error)
        return None

    async def _read_lags(self) -> str | None:
        """Return why lags are not known; who waits for Kafka does not wait long: it may be what is broken."""
        if self._asking is None and time.monotonic() - self._lags_at >= _LAG_SECONDS:
            self._asking = asyncio.create_task(self._lag_reader.read())
        if self._asking is None:
            return self._lag_problem
        await asyncio.wait({self._asking}, timeout=_PATIENCE_SECONDS)
        if not self._asking.done():
            return self._lag_problem or _NOT_YET
        asked, self._asking, self._lags_at = self._asking, None, time.monotonic()
        try:
            self._lags, self._lag_problem = asked.result(), None
        except ReadError as error:
            self._lag_problem = str(error)
        return self._lag_problem


def _joined(problems: Iterable[str | None]) -> str | None:
    return " ".join(dict.fromkeys(problem for problem in problems if problem)) or None
