"""What a process answers of itself over HTTP, whatever server asks: its health for the platform, and its metrics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

_TEXT = "text/plain; charset=utf-8"
_METHODS = ("GET", "HEAD")


@dataclass(frozen=True)
class Probes:
    """What is told of a service: `alive` means progress, `obstacle` is why there is no work, `hindrance` what of it
    there is not; or nothing.

    Only an obstacle makes it not ready: not to be ready is to get no requests, and stops what still goes on.
    """

    alive: Callable[[], bool]
    obstacle: Callable[[], str]
    hindrance: Callable[[], str]


Page = Callable[[str], tuple[bytes, str]]
"""Accept header → the body of metrics and its media type"""


@dataclass(frozen=True)
class Answer:
    """A response that is there at once."""

    status: int
    body: bytes
    media_type: str = _TEXT


@dataclass(frozen=True)
class Endpoints:
    """The endpoints of one port. /livez and /readyz tell of the whole process, of one service below: it is the process
    that is started anew, or sent no requests.

    A port for metrics alone has no `health`, one beside it no `page`.
    """

    health: Mapping[str, Probes] | None
    page: Page | None

    def answer(self, method: str, path: str, accept: str) -> Answer | None:
        """Return the response to a request; None when its path is none of these."""
        name, _, below = path.removeprefix("/").partition("/")
        if self.health is not None and name in _VERDICTS:
            asked = _asked(self.health, below)
            answer = _missing(self.health, below) if asked is None else _VERDICTS[name](asked)
        elif self.page is not None and path == "/metrics":
            answer = Answer(200, *self.page(accept))
        else:
            return None
        return answer if method in _METHODS else Answer(405, b"GET or HEAD")


def _asked(health: Mapping[str, Probes], service: str) -> Mapping[str, Probes] | None:
    """Return the services that a request asks for; None for one that is not in this process."""
    if not service:
        return health
    return {service: health[service]} if service in health else None


def _missing(health: Mapping[str, Probes], service: str) -> Answer:
    return Answer(404, f"no service {service} here; here are: {', '.join(health)}".encode())


def _livez(asked: Mapping[str, Probes]) -> Answer:
    return _verdict(_told(asked, lambda one: "" if one.alive() else "no progress"))


def _readyz(asked: Mapping[str, Probes]) -> Answer:
    return _verdict(_told(asked, lambda one: one.obstacle()), _told(asked, lambda one: one.hindrance()))


_VERDICTS = {"livez": _livez, "readyz": _readyz}


def _told(asked: Mapping[str, Probes], ask: Callable[[Probes], str]) -> str:
    """Return what the services say to a question, each by name where there are several."""
    said = {name: words for name, one in asked.items() if (words := ask(one))}
    return "; ".join(words if len(asked) == 1 else f"{name}: {words}" for name, words in said.items())


def _verdict(obstacle: str, hindrance: str = "") -> Answer:
    return Answer(503 if obstacle else 200, (obstacle or hindrance or "ok").encode())
