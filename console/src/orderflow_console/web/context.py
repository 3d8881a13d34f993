"""What every page works with: made when the console starts, closed when it ends."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp
from starlette.requests import Request

from orderflow_console.actions.jobs import works
from orderflow_console.actions.jobs.runner import JobRunner, Work
from orderflow_console.actions.jobs.store import JobStore
from orderflow_console.actions.own_tables import LAPTOP_SCHEMA, OwnTables
from orderflow_console.actions.trail import Trail
from orderflow_console.queries.database import Database, open_database
from orderflow_console.queries.errors import ReadError
from orderflow_console.queries.kafka import Options, client_options
from orderflow_console.settings import Settings
from orderflow_console.web.access.people import Role, Session
from orderflow_console.web.flow_reading import FlowReader
from orderflow_console.web.flow_watch import FlowWatch
from orderflow_console.web.rendering import Renderer
from orderflow_model.flow import OrderFlow
from orderflow_model.names import group_name, schema_name
from orderflow_model.spec.console import CONSOLE

_TIMEOUT = aiohttp.ClientTimeout(total=10)


@dataclass(frozen=True)
class Console:
    """The flow, how to ask its parts, and how to answer the browser of a `person`."""

    settings: Settings
    render: Renderer
    database: Database
    kafka: Options
    http: aiohttp.ClientSession
    watch: FlowWatch
    jobs: JobRunner
    trail: Trail
    person: str
    roles: frozenset[Role] = frozenset()

    @property
    def flow(self) -> OrderFlow:
        """The resource."""
        return self.settings.config.flow

    def may(self, role: Role) -> bool:
        """Return whether the person has a role."""
        return role in self.roles

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
    kafka = _kafka(settings, env)
    database = await open_database(settings.database)
    try:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as http:
            reader = FlowReader(settings.config, database, kafka, http)
            tables = OwnTables(settings.database, schema_name(CONSOLE) if settings.access else LAPTOP_SCHEMA)
            jobs = _jobs(settings, tables, kafka, http)
            watch, render = FlowWatch(reader.read), Renderer(settings.config)
            resuming = asyncio.create_task(jobs.resume_all())
            try:
                yield Console(settings, render, database, kafka, http, watch, jobs, Trail(tables), "")
            finally:
                resuming.cancel()
                await jobs.stop()
                tables.close()
    finally:
        database.terminate()


def _kafka(settings: Settings, env: Mapping[str, str]) -> Options:
    """Return how to reach Kafka; in a cluster by a group that it may describe and never joins, one of a service."""
    options, flow = client_options(settings.kafka_bootstrap, env), settings.config.flow
    heard = next((one.name for one in flow.services if one.subscribes), None)
    named = settings.access is not None and heard is not None
    return {**options, "group.id": group_name(flow.metadata.name, heard or "")} if named else options


def _jobs(settings: Settings, tables: OwnTables, kafka: Options, http: aiohttp.ClientSession) -> JobRunner:
    redrive = works.redrive(settings.config.flow.metadata.name, kafka, settings.database)
    known: dict[str, Work] = {"redrive": redrive, "edit": works.lost}
    if (url := entry(settings)) is not None:
        known |= {verb: works.decide(http, url, verb) for verb in ("cancel", "resume")}
    return JobRunner(JobStore(tables), known)


def entry(settings: Settings) -> str | None:
    """Return the base URL of the service that begins runs, None where there is none."""
    service = settings.config.flow.entry_service
    return None if service is None else settings.config.urls[service.name]


def console_of(request: Request) -> Console:
    """Return what this request's page works with, for the person who asks for it."""
    console: Console = request.app.state.console
    session: Session | None = request.state.session
    if session is None:  # what a stranger sees is a refusal
        return console
    person = session.person
    return replace(console, render=console.render.of(session), person=person.told, roles=person.roles)
