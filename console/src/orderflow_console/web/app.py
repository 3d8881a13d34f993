"""The console as an application: its pages, behind the gate, behind the guard."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from orderflow_console.actions.jobs.store import person_here
from orderflow_console.queries.errors import InvalidQuestionError, ReadError, UnknownError
from orderflow_console.settings import Access, Settings
from orderflow_console.web.access.addresses import Addresses
from orderflow_console.web.access.gate import Gate, LoggedIn, OnThisMachine, Visitors, closed, cookie_name
from orderflow_console.web.access.login import HOLDER, Login, Ways
from orderflow_console.web.access.oidc import Provider
from orderflow_console.web.access.people import Person, Role
from orderflow_console.web.access.sessions import Sessions
from orderflow_console.web.context import console_of, open_console
from orderflow_console.web.guard import HEALTH, Guard
from orderflow_console.web.pages import catalogue, dead_letters, events, flow, jobs, orders, topics, try_it
from orderflow_console.web.rendering import Renderer
from orderflow_model.names import object_name
from orderflow_model.spec.console import CONSOLE

_STATUS = {UnknownError: HTTPStatus.NOT_FOUND, InvalidQuestionError: HTTPStatus.BAD_REQUEST}
_PAGES = (flow, orders, dead_letters, jobs, events, topics, catalogue)
_STATIC = Mount("/static", StaticFiles(packages=[("orderflow_console.web", "static")]))


def build_app(settings: Settings) -> ASGIApp:
    """Return the application behind its gate and its guard; what it opens is opened when it starts."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_console(settings, os.environ) as console:
            app.state.console = console
            yield

    addresses, visitors, entrance = (
        _local(settings) if settings.access is None else _in_cluster(settings, settings.access)
    )
    pages = _PAGES if settings.access else (*_PAGES, try_it)
    routes = [closed(route) for page in pages for route in page.ROUTES]
    app = Starlette(
        routes=[*routes, *entrance, *(Route(path, _healthy) for path in HEALTH), _STATIC],
        exception_handlers={ReadError: _no_answer, HTTPException: _refused, Exception: _fault},
        lifespan=lifespan,
    )
    # around all of it: what a middleware answers for a fault goes past the middlewares
    return Guard(Gate(app, visitors), addresses)


def _local(settings: Settings) -> tuple[Addresses, Visitors, tuple[Route, ...]]:
    person = Person(person_here(), person_here(), frozenset(Role))
    return Addresses.on_this_machine(settings.host, settings.port), OnThisMachine(person), ()


def _in_cluster(settings: Settings, access: Access) -> tuple[Addresses, Visitors, tuple[Route, ...]]:
    flow, console = settings.config.flow.metadata, access.console
    addresses = Addresses.in_cluster(object_name(flow.name, CONSOLE), flow.namespace or "", console.url)
    sessions, cookie = Sessions(time.monotonic), cookie_name(f"{flow.namespace}.{flow.name}", addresses)
    provider = Provider(console.oidc, access.client_secret, f"{console.url}/login/callback") if console.oidc else None
    login = Login(Ways(provider, access.token), sessions, addresses, cookie, Renderer(settings.config).page)
    return addresses, LoggedIn(sessions, cookie, access.token, HOLDER), login.routes


async def _healthy(request: Request) -> Response:
    """Say that pages are served: whatever is broken behind them, they are what tells of it."""
    return PlainTextResponse("ok")


async def _no_answer(request: Request, error: Exception) -> Response:
    assert isinstance(error, ReadError)  # noqa: S101 - Starlette's signature is wider than its registry
    return _page(request, _STATUS.get(type(error), HTTPStatus.SERVICE_UNAVAILABLE), error.problem, error.remedy)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    known = error.status_code == HTTPStatus.NOT_FOUND and error.detail == HTTPStatus.NOT_FOUND.phrase
    problem = f"There is no page {request.url.path}" if known else error.detail
    return _page(request, error.status_code, problem, "Go back, load the page again, and try once more")


async def _fault(request: Request, error: Exception) -> Response:
    return _page(request, HTTPStatus.INTERNAL_SERVER_ERROR, "The console failed at this page", "Its log says why")


def _page(request: Request, status: int, problem: str, remedy: str) -> Response:
    return console_of(request).render.page("error.html", status, problem=problem, remedy=remedy)
