"""What the guard holds before anything is done: it is said who asks for what, and no answer lacks its headers."""

import getpass
import logging
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from orderflow_console.actions.jobs.store import person_here
from orderflow_console.settings import ConsoleConfig, Settings
from orderflow_console.web import app
from orderflow_console.web.guard import action
from orderflow_console.web.rendering import Renderer
from orderflow_model.loading.load import load_flow
from orderflow_model.postgres_uri import PostgresUri
from support.flow.cli_process import FLOW
from support.runtime.asgi import request


async def test_who_asks_for_what_is_logged_before_it_is_done(caplog: pytest.LogCaptureFixture) -> None:
    """A line stands in the log whatever becomes of the action; one that was refused is not told as asked for."""
    caplog.set_level(logging.INFO)
    told: list[str] = []

    async def do(_: Request, form: Mapping[str, str]) -> Response:
        told.extend(caplog.messages)
        return PlainTextResponse("done")

    site = Starlette(routes=[action("/orders/{id}/cancel", do)])
    site.state.console = SimpleNamespace(token="secret", person="ada")  # noqa: S106 - of this test only
    assert (await request(site, "POST", "/orders/o1/cancel", b"token=wrong")).status == 403
    assert told == []
    caplog.clear()
    assert (await request(site, "POST", "/orders/o1/cancel", b"token=secret")).status == 200
    assert told == ["ada asks for '/orders/o1/cancel'"]


async def test_a_page_about_a_fault_has_its_headers_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever breaks, here a page of a console that was never opened, a browser is told to run nothing of others."""
    config = ConsoleConfig(flow=load_flow(FLOW), urls={}, state=tmp_path, command=())
    console = SimpleNamespace(render=Renderer(config, "token"))
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
