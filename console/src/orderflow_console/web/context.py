"""What every page works with: made when the console starts, closed when it ends."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from starlette.requests import Request

from orderflow_console.queries.database import Database, open_database
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

    @property
    def flow(self) -> OrderFlow:
        """The resource."""
        return self.settings.config.flow

    @property
    def urls(self) -> Mapping[str, str]:
        """The base URL of each service."""
        return self.settings.config.urls


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
            yield Console(settings, token, render, database, kafka, http, FlowWatch(reader.read))
    finally:
        database.terminate()


def console_of(request: Request) -> Console:
    """Return what this request's page works with."""
    console: Console = request.app.state.console
    return console
