"""What every page works with: made when the console starts, closed when it ends."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from starlette.requests import Request

from orderflow_console.actions.jobs import works
from orderflow_console.actions.jobs.runner import JobRunner, Work
from orderflow_console.actions.jobs.store import JobStore, person_here
from orderflow_console.queries.database import Database, open_database
from orderflow_console.queries.errors import ReadError
from orderflow_console.queries.kafka import Options, client_options
from orderflow_console.settings import Settings
from orderflow_console.web.flow_reading import FlowReader
from orderflow_console.web.flow_watch import FlowWatch
from orderflow_console.web.rendering import Renderer
from orderflow_model.flow import OrderFlow

_TIMEOUT = aiohttp.ClientTimeout(total=10)


@dataclass(frozen=True)
class Console:
    """The flow, how to ask its parts, and how to answer a browser; `token` proves that a form is ours."""

    settings: Settings
    token: str
    render: Renderer
    database: Database
    kafka: Options
    http: aiohttp.ClientSession
    watch: FlowWatch
    jobs: JobRunner
    person: str

    @property
    def flow(self) -> OrderFlow:
        """The resource."""
        return self.settings.config.flow

    @property
    def urls(self) -> Mapping[str, str]:
        """The base URL of each service."""
        return self.settings.config.urls

    @property
    def entry(self) -> str:
        """The base URL of the service that begins runs; raise `ReadError` where there is none."""
        if (url := entry(self.settings)) is None:
            raise ReadError("No service of this flow begins runs", "Give the flow a saga: docs/services.md")
        return url


@asynccontextmanager
async def open_console(settings: Settings, env: Mapping[str, str]) -> AsyncIterator[Console]:
    """Yield what the pages work with; nothing of the flow needs to answer yet."""
    token = secrets.token_urlsafe(32)
    kafka = client_options(settings.kafka_bootstrap, env)
    database = await open_database(settings.database)
    try:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as http:
            reader = FlowReader(settings.config, database, kafka, http)
            render = Renderer(settings.config, token)
            jobs = _jobs(settings, kafka, http)
            resuming = asyncio.create_task(jobs.resume_all())
            try:
                yield Console(
                    settings, token, render, database, kafka, http, FlowWatch(reader.read), jobs, person_here()
                )
            finally:
                resuming.cancel()
                await jobs.stop()
                await jobs.store.close()
    finally:
        database.terminate()


def _jobs(settings: Settings, kafka: Options, http: aiohttp.ClientSession) -> JobRunner:
    redrive = works.redrive(settings.config.flow.metadata.name, kafka, settings.database)
    known: dict[str, Work] = {"redrive": redrive, "edit": works.lost}
    if (url := entry(settings)) is not None:
        known |= {verb: works.decide(http, url, verb) for verb in ("cancel", "resume")}
    return JobRunner(JobStore(settings.database), known)


def entry(settings: Settings) -> str | None:
    """Return the base URL of the service that begins runs, None where there is none."""
    service = settings.config.flow.entry_service
    return None if service is None else settings.config.urls[service.name]


def console_of(request: Request) -> Console:
    """Return what this request's page works with."""
    console: Console = request.app.state.console
    return console
