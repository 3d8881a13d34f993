"""What the guard holds before anything is done: it is said who asks for what, and no answer lacks its headers."""

import getpass
import logging
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from orderflow_console.actions.jobs.store import person_here
from orderflow_console.queries.errors import ReadError
from orderflow_console.settings import ConsoleConfig, Settings
from orderflow_console.web import app
from orderflow_console.web.access.gate import Gate, closed
from orderflow_console.web.access.people import Person, Role, Session
from orderflow_console.web.context import Console
from orderflow_console.web.guard import action
from orderflow_console.web.rendering import Renderer
from orderflow_model.loading.load import load_flow
from orderflow_model.postgres_uri import PostgresUri
from support.flow.cli_process import FLOW
from support.runtime.asgi import request


async def test_who_asks_for_what_is_logged_before_it_is_done(caplog: pytest.LogCaptureFixture) -> None:
    """Trail and log have a line whatever becomes of the action; a refused one has none, and what cannot be noted is not
    done.
    """
    caplog.set_level(logging.INFO)
    told: list[str] = []
    noted: list[tuple[str, str, str, Mapping[str, str]]] = []

    async def note(*entry: Any) -> None:
        if noted:
            raise ReadError("the database is away", "Wait")
        noted.append(entry)

    async def do(_: Request, form: Mapping[str, str]) -> Response:
        told.extend([*caplog.messages, str(len(noted)), *form])
        return PlainTextResponse("done")

    session = Session(Person("u1", "ada", frozenset({Role.OPERATOR})))
    site = Starlette(routes=[closed(action("/orders/{id}/cancel", do))])
    nothing: Any = None
    render = Renderer(ConsoleConfig(flow=load_flow(FLOW), urls={}))
    trail: Any = SimpleNamespace(note=note)
    site.state.console = Console(nothing, render, nothing, nothing, nothing, nothing, nothing, trail, "")
    gated = Gate(site, SimpleNamespace(find=lambda _: session))
    assert (await request(gated, "POST", "/orders/o1/cancel", b"token=wrong")).status == 403
    assert (told, noted) == ([], [])
    caplog.clear()
    body = f"token={session.csrf}&why=x".encode()
    assert (await request(gated, "POST", "/orders/o1/cancel", body)).status == 200
    assert told == ["ada (u1) asks for '/orders/o1/cancel'", "1", "why"]
    assert noted == [("ada (u1)", "operator", "/orders/o1/cancel", {"why": "x"})]
    assert (await request(gated, "POST", "/orders/o1/cancel", body)).status == 500
    assert told == ["ada (u1) asks for '/orders/o1/cancel'", "1", "why"]


async def test_a_page_about_a_fault_has_its_headers_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever breaks, here a page of a console that was never opened, a browser is told to run nothing of others."""
    config = ConsoleConfig(flow=load_flow(FLOW), urls={}, state=tmp_path, command=())
    console = SimpleNamespace(render=Renderer(config))
    monkeypatch.setattr(app, "console_of", lambda request: console)
    database = PostgresUri.parse("postgresql://nobody@127.0.0.1:1/nothing")
    built = app.build_app(Settings(config, database, "127.0.0.1:1", "127.0.0.1", 8000))
    answer = await request(built, "GET", "/catalogue", headers={"host": "127.0.0.1:8000"})
    assert (answer.status, b"failed at this page" in answer.body) == (500, True)
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_user_without_a_name_is_told_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The console starts where the system knows no name for its user, as in many containers."""

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert person_here().startswith("user ")
