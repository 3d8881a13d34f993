"""The service that takes the messages, as any client of its API sees it, and what its answers mean for a message.

Whose fault an answer is decides: what is wrong with the message refuses it; all else, an address that takes no messages
among it, is waited out, for another message would fare no better.
"""

from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp
from pydantic_core import from_json

from orderflow_sources.message import Request

_TIMEOUT = aiohttp.ClientTimeout(total=30)
_MOST_ANSWER_BYTES = 64 * 1024
_MOST_REASON = 2000
_MOST_SAID = 200
_REFUSALS = frozenset(
    (
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.CONFLICT,
        HTTPStatus.GONE,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    )
)
"""What the message itself is answered; other statuses of 400 and more speak of the address, its rights or its load."""


@dataclass(frozen=True)
class Accepted:
    """It is the service's now; `known` where it was before."""

    known: bool


@dataclass(frozen=True)
class Refused:
    """It will never be taken as it is."""

    reason: str


@dataclass(frozen=True)
class Away:
    """Nobody knows yet: to ask again with the same key is safe."""

    reason: str


Verdict = Accepted | Refused | Away


class FrontDoor:
    """The address `url`; it is entered once, and holds as many connections as there are messages in hand."""

    def __init__(self, url: str, connections: int) -> None:
        self._url = url
        self._connections = connections

    async def __aenter__(self) -> Self:
        """Open; nothing is connected yet."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=_TIMEOUT,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        await self._session.close()

    async def offer(self, request: Request) -> Verdict:
        """Send a request and return what became of it; whatever goes wrong on the way is `Away`."""
        try:
            async with self._session.post(
                self._url, data=request.body, headers=request.headers, allow_redirects=False
            ) as answer:
                return _verdict(answer.status, await answer.content.read(_MOST_ANSWER_BYTES))
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return Away(f"{type(error).__name__}: {error}")


def _verdict(status: int, body: bytes) -> Verdict:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Accepted(known=status == HTTPStatus.OK)
    if status in _REFUSALS:
        return Refused(f"{status}: {_reason(body)}"[:_MOST_REASON])
    return Away(f"it answers {status}: {_said(body)}")


def _reason(body: bytes) -> str:
    """Return what a problem document says (RFC 9457), each wrong place with it; else what was answered, cut."""
    try:
        problem = from_json(body)
    except ValueError:
        return _said(body)
    if not isinstance(problem, dict):
        return _said(body)
    told = [problem.get("title"), problem.get("detail"), *map(_place, _errors(problem))]
    return "; ".join(str(one) for one in told if one) or _said(body)


def _errors(problem: dict[str, Any]) -> list[dict[str, Any]]:
    errors = problem.get("errors")
    return [one for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []


def _place(error: dict[str, Any]) -> str:
    return f"{error.get('place')}: {error.get('message')}"


def _said(body: bytes) -> str:
    return body[:_MOST_SAID].decode(errors="replace")
