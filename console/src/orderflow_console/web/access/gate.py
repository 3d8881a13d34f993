"""The gate before all pages: nobody comes in without a session, and each page asks for a role.

Open to everybody are the login itself, files that stand beside the pages, and health. A route says the role that it
asks for; one that says none is a viewer's where it only reads, an operator's where it does not.
"""

import copy
import hmac
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from orderflow_console.web.access.addresses import Addresses
from orderflow_console.web.access.people import Person, Role, Session
from orderflow_console.web.access.sessions import Sessions

LOGIN = "/login"
_OPEN = ("/login", "/login/token", "/login/callback", "/logged-out", "/livez", "/readyz")
_OPEN_BELOW = "/static/"
READING = frozenset({"GET", "HEAD"})
BEARER = "Bearer "
_log = logging.getLogger(__name__)


class Visitors(Protocol):
    """Tells who sends a request."""

    def find(self, request: HTTPConnection) -> Session | None: ...  # noqa: D102 - said above


class OnThisMachine:
    """Everybody who reaches a console that listens on loopback is the person who started it, and may all."""

    def __init__(self, person: Person) -> None:
        self._session = Session(person)

    def find(self, request: HTTPConnection) -> Session | None:
        """Return the one session."""
        return self._session


class LoggedIn:
    """Those who have a cookie of ours; and, where people log in by a token, programs that send it."""

    def __init__(self, sessions: Sessions, cookie: Callable[[str], str], token: str | None, holder: Person) -> None:
        self._sessions = sessions
        self._cookie = cookie
        self._token = token
        self._program = Session(holder, program=True)

    def find(self, request: HTTPConnection) -> Session | None:
        """Return the session of a request, if it has one."""
        sent = request.headers.get("authorization", "")
        if self._token is not None and sent.startswith(BEARER):
            return self._program if is_same(sent.removeprefix(BEARER), self._token) else None
        key = request.cookies.get(self._cookie(request.headers.get("host", "")))
        return self._sessions.find(key) if key else None


class Gate:
    """An application that is entered with a session alone."""

    def __init__(self, app: ASGIApp, visitors: Visitors) -> None:
        self._app = app
        self._visitors = visitors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, with its session, or answer it."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        session = self._visitors.find(HTTPConnection(scope))
        scope.setdefault("state", {})["session"] = session
        path: str = scope["path"]
        if session is not None or path in _OPEN or path.startswith(_OPEN_BELOW):
            return await self._app(scope, receive, send)
        _log.warning("refused %s %r: nobody has logged in", scope["method"], path)
        return await _ask_to_log_in(scope)(scope, receive, send)


def closed(route: Route) -> Route:
    """Return the route, behind the role that it asks for."""
    role = getattr(route, "role", Role.VIEWER if (route.methods or set()) <= READING else Role.OPERATOR)
    page, behind = route.app, copy.copy(route)

    async def enter(scope: Scope, receive: Receive, send: Send) -> None:
        session: Session = scope["state"]["session"]
        if role not in session.person.roles:
            _log.warning("refused %s %r: %s has no role %s", scope["method"], scope["path"], session.person.told, role)
            raise HTTPException(
                HTTPStatus.FORBIDDEN, f"This takes the role {role}, which {session.person.name} has not"
            )
        await page(scope, receive, send)

    behind.app = enter
    return behind


def cookie_name(flow: str, addresses: Addresses) -> Callable[[str], str]:
    """Return what the session's cookie is called for a browser that asks for a `Host`; consoles share a machine."""
    return lambda host: f"__Host-orderflow.{flow}" if addresses.is_secure(host) else f"orderflow.{flow}"


def is_same(given: str, token: str) -> bool:
    """Compare in a time that tells nothing."""
    return hmac.compare_digest(given.encode(errors="replace"), token.encode())


def _ask_to_log_in(scope: Scope) -> Response:
    headers = Headers(scope=scope)
    if scope["method"] in READING and "text/html" in headers.get("accept", ""):
        query = scope["query_string"].decode("latin-1")
        wanted = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        return RedirectResponse(f"{LOGIN}?next={quote(wanted, safe='/')}", HTTPStatus.SEE_OTHER)
    challenge = {"www-authenticate": "Bearer"}
    return PlainTextResponse("Log in first: /login in a browser.", HTTPStatus.UNAUTHORIZED, challenge)
