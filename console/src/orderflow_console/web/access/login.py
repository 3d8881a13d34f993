"""How a session begins and ends: by a provider or by a token; and where a browser goes on then."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from orderflow_console.web.access.addresses import Addresses
from orderflow_console.web.access.gate import LOGIN, is_same
from orderflow_console.web.access.oidc import Attempt, LoginError, Provider
from orderflow_console.web.access.people import Person, Role, Session
from orderflow_console.web.access.sessions import LASTING_SECONDS, Sessions

HOLDER = Person("token", "holder of the token", frozenset({Role.VIEWER, Role.OPERATOR}))
"""Whoever has the token; none who sees what is personal, for the trail could not say who that was."""
_ATTEMPTS, _ATTEMPT_SECONDS = 10_000, 600
_MOST_BYTES, _MOST_NEXT = 10_000, 2_000
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ways:
    """How people log in: by a provider, else by the token."""

    provider: Provider | None
    token: str | None


class Login:
    """The pages of logging in and out; `page` makes one of a template."""

    def __init__(
        self,
        ways: Ways,
        sessions: Sessions,
        addresses: Addresses,
        cookie: Callable[[str], str],
        page: Callable[..., HTMLResponse],
    ) -> None:
        self._ways, self._sessions, self._addresses, self._cookie, self._page = ways, sessions, addresses, cookie, page
        self._attempts: OrderedDict[str, Attempt] = OrderedDict()
        self.routes = (
            Route(LOGIN, self.ask),
            Route("/login/token", self.by_token, methods=["POST"]),
            Route("/login/callback", self.come_back),
            Route("/logout", self.log_out, methods=["POST"]),
            Route("/logged-out", self.bye),
        )

    async def ask(self, request: Request) -> Response:
        """Send a browser to the provider, or ask for the token."""
        wanted = _local(request.query_params.get("next", "/"))
        if self._ways.provider is None:
            return self._page("login.html", next=wanted, problem="")
        attempt = Attempt(wanted)
        try:
            place = await self._ways.provider.address(attempt)
        except LoginError as error:
            return self._refuse(str(error))
        self._attempts[attempt.state] = attempt
        while len(self._attempts) > _ATTEMPTS:
            self._attempts.popitem(last=False)
        answer = RedirectResponse(place, HTTPStatus.SEE_OTHER)
        self._set(answer, request, self._attempt_cookie(request), attempt.state, _ATTEMPT_SECONDS)
        return answer

    async def come_back(self, request: Request) -> Response:
        """Begin the session of whom the provider says that it is; the login has to be this browser's, and once."""
        attempt = self._attempts.pop(request.cookies.get(self._attempt_cookie(request), ""), None)
        try:
            if self._ways.provider is None or attempt is None:
                raise LoginError("This login was not begun here, or too long ago")
            person = await self._ways.provider.person(attempt, request.query_params)
        except LoginError as error:
            return self._refuse(str(error))
        return self._begin(request, person, attempt.next)

    async def by_token(self, request: Request) -> Response:
        """Begin a session for whoever knows the token."""
        form = await _form(request)
        wanted = _local(form.get("next", "/"))
        if self._ways.token is None or not is_same(form.get("key", ""), self._ways.token):
            _log.warning("refused a login: it is not the token")
            return self._page("login.html", HTTPStatus.FORBIDDEN, next=wanted, problem="That is not the token")
        return self._begin(request, HOLDER, wanted)

    async def bye(self, request: Request) -> Response:
        """Show that the session is over."""
        return self._page("logged_out.html")

    async def log_out(self, request: Request) -> Response:
        """End the session of a browser, when one of our pages asks for it."""
        session: Session = request.state.session
        if not is_same((await _form(request)).get("token", ""), session.csrf):
            raise HTTPException(HTTPStatus.FORBIDDEN, "This form is of an earlier session")
        _log.info("%s has logged out", session.person.told)
        self._sessions.end(request.cookies.get(self._cookie(request.headers.get("host", "")), ""))
        answer = RedirectResponse("/logged-out", HTTPStatus.SEE_OTHER)
        self._set(answer, request, self._cookie(request.headers.get("host", "")), "", 0)
        return answer

    def _begin(self, request: Request, person: Person, wanted: str) -> Response:
        self._sessions.end(request.cookies.get(self._cookie(request.headers.get("host", "")), ""))
        _log.info("%s has logged in, as %s", person.told, ", ".join(sorted(person.roles)))
        answer = RedirectResponse(wanted, HTTPStatus.SEE_OTHER)
        self._set(answer, request, self._attempt_cookie(request), "", 0)
        key = self._sessions.begin(person)
        self._set(answer, request, self._cookie(request.headers.get("host", "")), key, LASTING_SECONDS)
        return answer

    def _refuse(self, why: str) -> Response:
        _log.warning("refused a login: %r", why)
        return self._page("login_refused.html", HTTPStatus.FORBIDDEN, problem=why)

    def _attempt_cookie(self, request: Request) -> str:
        return f"{self._cookie(request.headers.get('host', ''))}.login"

    def _set(self, answer: Response, request: Request, name: str, text: str, seconds: int) -> None:
        secure = self._addresses.is_secure(request.headers.get("host", ""))
        answer.set_cookie(name, text, max_age=seconds, path="/", httponly=True, samesite="lax", secure=secure)


def _local(wanted: str) -> str:
    """Return a path of our own to go on at; the first page for what leads elsewhere."""
    plain = wanted.isascii() and wanted.isprintable() and "\\" not in wanted and len(wanted) <= _MOST_NEXT
    return wanted if plain and wanted.startswith("/") and not wanted.startswith(("//", "/log")) else "/"


async def _form(request: Request) -> dict[str, str]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            return {}
    return {name: found[-1] for name, found in parse_qs(body.decode("latin-1")).items()}
