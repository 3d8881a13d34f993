"""Refuses what comes from other pages than the console's own, and tells browsers to run nothing else in these.

Any page that is open in the same browser can send requests to a loopback port. What it cannot do: name us in `Host`
unless it is us (a name of its own that it points at 127.0.0.1 stays its name), read a page of ours, and so know the
token that every form carries.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orderflow_console.web.access.addresses import Addresses
from orderflow_console.web.access.gate import BEARER, is_same
from orderflow_console.web.access.people import Role, Session
from orderflow_console.web.context import console_of

HEALTH = ("/livez", "/readyz")
TOKEN = "token"  # noqa: S105 - the field's name, not a token
_SAFE = ("GET", "HEAD")
_MOST_FIELDS = 50
_MOST_BYTES = 2_097_152  # an event that is edited has at most 1 MB, and its text more as a form
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}

Action = Callable[[Request, Mapping[str, str]], Awaitable[Response]]
_log = logging.getLogger(__name__)


class Guard:
    """An application behind the checks of host and origin."""

    def __init__(self, app: ASGIApp, addresses: Addresses) -> None:
        self._app = app
        self._addresses = addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it; every answer carries the headers."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            return await self._app(scope, receive, send_guarded)
        _log.warning("refused %s %r: %s", scope["method"], scope["path"], refusal)
        return await PlainTextResponse(refusal, HTTPStatus.FORBIDDEN)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if scope["path"] in HEALTH:  # asked for by the pod's address
            return None
        if not self._addresses.are_ours(host):
            return "This console answers at its own address alone; orderflow run, or spec.console.url, says it."
        is_program = headers.get("authorization", "").startswith(BEARER)  # no browser sends that by itself
        if scope["method"] not in _SAFE and not is_program and headers.get("origin") != self._addresses.origin(host):
            return "Only the console's own pages may change something."
        return None


class ActionRoute(Route):
    """A route of something that takes a role, and is kept in the trail."""

    def __init__(self, path: str, endpoint: Callable[[Request], Awaitable[Response]], role: Role) -> None:
        super().__init__(path, endpoint, methods=["POST"])
        self.role = role


def action(path: str, do: Action, role: Role = Role.OPERATOR) -> Route:
    """Return the route of something that changes the flow, or shows what is personal, for those of a role.

    A form posted here without the session's token does nothing. Who asks for what stands in the trail and in the log
    before it is done; what cannot be written there is not done.
    """

    async def endpoint(request: Request) -> Response:
        session: Session = request.state.session
        form = await _form(request)
        if not session.program and not is_same(form.get(TOKEN, ""), session.csrf):
            _log.warning("refused %s %r: a form without the token", request.method, request.url.path)
            raise HTTPException(HTTPStatus.FORBIDDEN, "This form is of an earlier session")
        said = {name: text for name, text in form.items() if name != TOKEN}
        await console_of(request).trail.note(session.person.told, role, request.url.path, said)
        _log.info("%s asks for %r", session.person.told, request.url.path)
        return await do(request, said)

    return ActionRoute(path, endpoint, role)


async def _form(request: Request) -> dict[str, str]:
    """Return the fields of a form; of one that stands twice the last."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A form has at most {_MOST_BYTES:,} bytes")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "This is no form of the console") from None
