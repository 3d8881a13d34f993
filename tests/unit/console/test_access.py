"""Who is let in, and to what: every route by every role, and what strangers, forgers and thieves send."""

import copy
import re
from collections.abc import Mapping

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from orderflow_console.settings import Access, ConsoleConfig, Settings, SettingsError
from orderflow_console.web import app
from orderflow_console.web.access.gate import closed
from orderflow_console.web.access.people import Person, Role, Session, roles_of
from orderflow_console.web.access.sessions import IDLE_SECONDS, LASTING_SECONDS, Sessions
from orderflow_model.loading.load import load_flow
from orderflow_model.postgres_uri import PostgresUri
from orderflow_model.spec.console import Console, ConsoleRoles
from support.flow.cli_process import FLOW
from support.runtime.asgi import Answer, request

TOKEN = "a-token-of-this-test-alone"  # noqa: S105 - as it says
HOST = {"host": "localhost:8000"}
FORM = {**HOST, "origin": "http://localhost:8000", "content-type": "application/x-www-form-urlencoded"}
EVERYBODY = ("/livez", "/readyz", "/static/console.css", "/login", "/logged-out")


def settings(url: str | None = None, token: str | None = TOKEN) -> Settings:
    """Give those of a console in a cluster."""
    console = Console(image="i:1", url=url)
    flow = load_flow(FLOW)
    named = flow.metadata.model_copy(update={"namespace": "team-a"})
    changed = {"metadata": named, "spec": flow.spec.model_copy(update={"console": console})}
    told = ConsoleConfig(flow=flow.model_copy(update=changed), urls={})
    database = PostgresUri.parse("postgresql://nobody@127.0.0.1:1/nothing")
    return Settings(told, database, "127.0.0.1:1", "0.0.0.0", 8000, Access(console, token, None))  # noqa: S104 - a pod


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch) -> tuple[ASGIApp, Sessions, list[Route]]:
    """The console with pages that only say that they were reached, its sessions, and all routes of pages."""
    sessions, routes = Sessions(lambda: 0.0), list[Route]()

    def stubbed(route: Route) -> Route:
        routes.append(route)
        stub = copy.copy(route)
        stub.app = PlainTextResponse("reached")
        return closed(stub)

    monkeypatch.setattr(app, "closed", stubbed)
    monkeypatch.setattr(app, "Sessions", lambda _: sessions)
    monkeypatch.setattr(app, "_page", lambda _, status, problem, remedy: PlainTextResponse(problem, status))
    return app.build_app(settings()), sessions, routes


def path_of(route: Route) -> str:
    """Give an address that leads to a route."""
    return re.sub(r"{[^}]*:int}", "1", re.sub(r"{\w+(:path)?}", "x", route.path))


def cookie(sessions: Sessions, *roles: Role) -> dict[str, str]:
    """Give the headers of a person of these roles."""
    key = sessions.begin(Person("u1", "ada", frozenset(roles)))
    return {**FORM, "cookie": f"orderflow.team-a.shop={key}"}


async def test_every_route_asks_for_its_role(walked: tuple[ASGIApp, Sessions, list[Route]]) -> None:
    """Whoever has a role reaches what it opens, and nothing else; a route that says none is closed all the same."""
    console, sessions, routes = walked
    assert len(routes) > 20
    posts = [route for route in routes if "POST" in (route.methods or ())]
    unmasking = {route.path for route in posts if route.path.endswith("/unmask")}
    assert unmasking
    assert posts
    for route in routes:
        wanted = Role.VIEWER if route not in posts else Role.UNMASK if route.path in unmasking else Role.OPERATOR
        method = "POST" if route in posts else "GET"
        for roles in ((), (Role.VIEWER,), (Role.OPERATOR,), (Role.UNMASK,), tuple(Role)):
            answer = await request(console, method, path_of(route), headers=cookie(sessions, *roles))
            assert answer.status == (200 if wanted in roles else 403), (route.path, roles)


async def test_a_stranger_reaches_nothing(
    walked: tuple[ASGIApp, Sessions, list[Route]], caplog: pytest.LogCaptureFixture
) -> None:
    """Without a session, or with one that is none, every route and every path that is none is refused, and logged."""
    console, _, routes = walked
    for path, method in [
        ("/nothing", "GET"),
        ("/docs", "GET"),
        *((path_of(one), next(iter(one.methods or ()))) for one in routes),
    ]:
        for headers in (FORM, {**FORM, "cookie": "orderflow.team-a.shop=x"}, {**FORM, "authorization": "Bearer x"}):
            caplog.clear()
            answer = await request(console, method, path, headers=headers)
            assert (answer.status, path in caplog.text) == (401, True), path
    seen = await request(console, "GET", "/orders", headers={**HOST, "accept": "text/html"})
    assert (seen.status, seen.headers["location"]) == (303, "/login?next=/orders")
    for path in EVERYBODY:
        assert (await request(console, "GET", path, headers=HOST)).status == 200


async def log_in(console: ASGIApp, key: str, headers: Mapping[str, str] = FORM, wanted: str = "/") -> Answer:
    """Send the form of the token."""
    return await request(console, "POST", "/login/token", f"key={key}&next={wanted}".encode(), headers)


async def test_a_token_opens_a_session_that_logging_out_ends(walked: tuple[ASGIApp, Sessions, list[Route]]) -> None:
    """Its cookie is no script's and no other site's to send; a wrong token opens nothing, nor does the old cookie."""
    console, sessions, _ = walked
    assert (await log_in(console, "wrong")).status == 403
    assert (await log_in(console, TOKEN, {**FORM, "origin": "http://evil.example"})).status == 403
    answer = await log_in(console, TOKEN)
    assert (answer.status, answer.headers["location"]) == (303, "/")
    name, _, rest = answer.headers["set-cookie"].partition("=")
    key = rest.partition(";")[0]
    assert "HttpOnly" in rest
    assert "SameSite=lax" in rest
    mine = {**FORM, "cookie": f"{name}={key}"}
    assert (await request(console, "GET", "/orders", headers=mine)).status == 200
    session = sessions.find(key)
    assert session is not None
    assert (await request(console, "POST", "/logout", b"token=wrong", mine)).status == 403
    assert (await request(console, "GET", "/orders", headers=mine)).status == 200
    assert (await request(console, "POST", "/logout", f"token={session.csrf}".encode(), mine)).status == 303
    assert (await request(console, "GET", "/orders", headers=mine)).status == 401


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example", "https://evil.example", "/%5Cevil.example", "/%09/evil.example", "javascript:x", "/logout"],
)
async def test_a_login_goes_on_within_the_console_alone(
    walked: tuple[ASGIApp, Sessions, list[Route]], wanted: str
) -> None:
    """Where a link would lead elsewhere, or out again, the first page is shown."""
    answer = await log_in(walked[0], TOKEN, wanted=wanted)
    assert answer.headers["location"] == "/"


async def test_a_program_sends_the_token_itself(walked: tuple[ASGIApp, Sessions, list[Route]]) -> None:
    """No form's token and no origin are asked of it; what is personal stays closed, as nobody knows who it is."""
    console, *_ = walked
    bearer = {**HOST, "authorization": f"Bearer {TOKEN}"}
    assert (await request(console, "GET", "/orders", headers=bearer)).status == 200
    assert (await request(console, "POST", "/orders/x/cancel", headers=bearer)).status == 200
    assert (await request(console, "POST", "/dead-letters/x/x/unmask", headers=bearer)).status == 403
    basic = {**HOST, "authorization": "Basic eDp5"}  # a browser sends this by itself, as for a proxy before the console
    assert b"own pages" in (await request(console, "POST", "/login/token", f"key={TOKEN}".encode(), basic)).body


def test_a_session_ends_by_itself() -> None:
    """After an hour without use, after a working day whatever its use, and when it is ended."""
    now = 0.0
    sessions = Sessions(lambda: now)
    keys = [sessions.begin(Person("u", "ada", frozenset())) for _ in range(3)]
    sessions.end(keys[2])
    assert sessions.find(keys[2]) is None
    while now < LASTING_SECONDS - IDLE_SECONDS:
        now += IDLE_SECONDS - 1
        assert isinstance(sessions.find(keys[0]), Session)
    assert sessions.find(keys[1]) is None
    now = float(LASTING_SECONDS)
    assert sessions.find(keys[0]) is None


def test_roles_come_from_groups_alone() -> None:
    """Whoever is in no group that has a role has none, and is not let in; each other role lets see as well."""
    given = ConsoleRoles(viewer=("staff",), operator=("ops",), unmask=("privacy",))
    assert roles_of(["other"], given) == frozenset()
    assert roles_of(["staff"], given) == {Role.VIEWER}
    assert roles_of(["ops", "other"], given) == {Role.VIEWER, Role.OPERATOR}
    assert roles_of(["privacy"], given) == {Role.VIEWER, Role.UNMASK}


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("localhost:5000", True),
        ("127.0.0.1:1", True),
        ("shop-console", True),
        ("shop-console.team-a.svc:80", True),
        ("console.example.com", True),
        ("console.example.com:81", False),
        ("localhost.evil.example", False),
        ("evil.example", False),
        ("", False),
    ],
)
async def test_a_console_in_a_cluster_answers_to_its_own_names(host: str, ours: bool) -> None:
    """A name that somebody points at it is none of them; health is asked for by the pod's address."""
    console = app.build_app(settings("https://console.example.com"))
    answer = await request(console, "GET", "/logged-out", headers={"host": host})
    assert answer.status == (200 if ours else 403)
    assert (await request(console, "GET", "/readyz", headers={"host": "10.0.0.7:8080"})).status == 200


async def test_a_cookie_is_for_tls_alone_where_that_is_how_people_come() -> None:
    """What a proxy, or anybody, says in X-Forwarded-* changes nothing: the resource says how the console is reached."""
    console = app.build_app(settings("https://console.example.com"))
    public = {"host": "console.example.com", "origin": "https://console.example.com"}
    answer = await log_in(console, TOKEN, public)
    named = answer.headers["set-cookie"]
    forged = {**public, "host": "evil.example", "x-forwarded-host": "console.example.com", "x-forwarded-proto": "https"}
    assert (await log_in(console, TOKEN, forged)).status == 403
    assert (await log_in(console, TOKEN, {**public, "origin": "http://console.example.com"})).status == 403
    assert named.startswith("__Host-orderflow.")
    assert all(word in named for word in ("HttpOnly", "SameSite=lax", "Secure", "Path=/"))


def test_a_token_that_can_be_guessed_is_refused() -> None:
    """The console does not start with one: it says which Secret to mend."""
    with pytest.raises(SettingsError, match="20 characters"):
        Access.read(Console(image="i:1"), {"CONSOLE_TOKEN": "hunter2"})
