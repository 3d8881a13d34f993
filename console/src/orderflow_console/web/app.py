"""The console as an application: its pages, behind the guard."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from orderflow_console.queries.errors import InvalidQuestionError, ReadError, UnknownError
from orderflow_console.settings import Settings
from orderflow_console.web.context import console_of, open_console
from orderflow_console.web.guard import Guard
from orderflow_console.web.pages import catalogue, dead_letters, events, flow, jobs, orders, topics, try_it

_STATUS = {UnknownError: HTTPStatus.NOT_FOUND, InvalidQuestionError: HTTPStatus.BAD_REQUEST}


def build_app(settings: Settings) -> ASGIApp:
    """Return the application behind its guard; what it opens is opened when it starts."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_console(settings, os.environ) as console:
            app.state.console = console
            yield

    pages: list[BaseRoute] = [
        route for page in (flow, orders, dead_letters, jobs, events, topics, catalogue, try_it) for route in page.ROUTES
    ]
    hosts = [f"{name}:{settings.port}" for name in (settings.host, "localhost")]
    app = Starlette(
        routes=[*pages, Mount("/static", StaticFiles(packages=[("orderflow_console.web", "static")]))],
        exception_handlers={ReadError: _no_answer, HTTPException: _refused, Exception: _fault},
        lifespan=lifespan,
    )
    return Guard(app, hosts)  # around all of it: what a middleware answers for a fault goes past the middlewares


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
