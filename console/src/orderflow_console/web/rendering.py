"""Renders pages. Whatever comes from an event, an order or a service is text: the templates escape all of it."""

import copy
import datetime as dt
import json
import shlex
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from orderflow_console.settings import ConsoleConfig
from orderflow_console.web.access.people import Session

_MINUTE_SECONDS, _HOUR_SECONDS, _DAY_SECONDS = 60, 3_600, 86_400


class Renderer:
    """The templates, with what every page shows: the flow's name, who looks at it, the command to type."""

    def __init__(self, config: ConsoleConfig) -> None:
        self._config = config
        self._session: Session | None = None
        self._environment = Environment(
            loader=PackageLoader("orderflow_console.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(
            flow=config.flow.metadata.name, command=self._command, on_laptop=config.state is not None
        )
        self._environment.filters.update(
            duration=duration, count=count, when=when, pretty=pretty, order_path=order_path
        )

    def of(self, session: Session | None) -> "Renderer":
        """Return the same for a person: their forms have their token, and show what they may."""
        theirs = copy.copy(self)
        theirs._session = session
        return theirs

    def page(self, template: str, status: int = HTTPStatus.OK, **values: Any) -> HTMLResponse:
        """Return a template as an answer."""
        return HTMLResponse(self.text(template, **values), status)

    def text(self, template: str, **values: Any) -> str:
        """Return a template as text: a part of a page."""
        person = self._session.person if self._session else None
        seen = {
            "token": self._session.csrf if self._session else "",
            "person": person.name if person else "",
            "roles": sorted(person.roles) if person else [],
        }
        rendered: str = self._environment.get_template(template).render(seen | values)
        return rendered

    def _command(self, *words: str) -> str:
        """Return what a person would type for the same."""
        state = [] if self._config.state is None else ["--state", str(self._config.state)]
        return shlex.join(["orderflow", *words, *state])


def order_path(key: str, verb: str = "") -> str:
    """Return the address of a key's page, or of what is done to it, whatever its producer chose for a key.

    Browsers take `.` and `..` for folders however they are escaped, so such a key is a field.
    """
    if key in ("", ".", ".."):
        return f"/orders/-{verb}?{urlencode({'key': key})}"
    return f"/orders/{quote(key, safe='')}{verb}"


def duration(seconds: float | None) -> str:
    """Return a time in the largest unit that it fills, as people say it: `3.2 s`, `5 min`, `2 h`, `3 d`."""
    if seconds is None:
        return "unknown"
    for size, unit in ((_DAY_SECONDS, "d"), (_HOUR_SECONDS, "h"), (_MINUTE_SECONDS, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def count(number: float) -> str:
    """Return a number with its thousands apart."""
    return f"{number:,.0f}"


def when(at: dt.datetime | None) -> str:
    """Return a moment in UTC, to the millisecond."""
    return "" if at is None else at.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def pretty(value: Any) -> str:
    """Return a value as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
