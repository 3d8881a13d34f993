"""Events handed on as Dapr's sidecar does, so that a program written for it runs here unchanged.

The program says where it takes each topic (GET /dapr/subscribe) and what became of an event by a status.
Source: Dapr's Pub/sub API reference: 2xx by its body's `status` (SUCCESS where there is none, RETRY, DROP), 404 is a
drop, all else is tried again; an event is sent in structured mode, with `topic`, `pubsubname` and `traceid` besides.
"""

import asyncio
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from orderflow_contracts.event import Event
from orderflow_push import cloud_events
from orderflow_push.app import App
from orderflow_push.cloud_events import STRUCTURED
from orderflow_push.http_client import Answer
from orderflow_push.knative import retry_after
from orderflow_runtime import Handed, NotTakenError, Verdict

logger = logging.getLogger(__name__)

_ASK_AGAIN_SECONDS = 1.0
_RULE = re.compile(r"""\s*event\.(type|source)\s*==\s*(["'])(.*?)\2\s*""").fullmatch
Routes = Mapping[str, "Route"]


class SubscriptionError(Exception):
    """What the program subscribes is not what its service may give it; the words say where."""


@dataclass(frozen=True)
class Route:
    """Where a program takes an event: by `rules` of (attribute, value, path), else by the path `otherwise`."""

    pubsub: str
    topic: str
    rules: tuple[tuple[str, str, str], ...]
    otherwise: str | None

    def path(self, one: Handed) -> str | None:
        """Return the path for an event, or None where the program takes none such."""
        told = {"type": one.type, "source": one.received.event.source}
        return next((path for name, value, path in self.rules if told[name] == value), self.otherwise)


class DaprRecipient:
    """A program that is handed its events as by Dapr. `topics` are events by all that their topics may be called."""

    kind, together = "push", 1

    def __init__(self, app: App, topics: Mapping[str, str], at_once: int) -> None:
        self._app = app
        self._topics = topics
        self.at_once = at_once
        self._routes: Routes = {}
        self._asked_at = -1
        self._asking = asyncio.Lock()
        self._mismatch = ""

    @property
    def obstacle(self) -> str:
        """Why nothing is handed on now."""
        return self._app.obstacle or self._mismatch

    async def start(self) -> None:
        """Wait until the program says what it subscribes, and that is something of ours."""
        while True:
            try:
                await self._ask()
            except (SubscriptionError, NotTakenError) as error:
                if str(error) != self._mismatch:
                    logger.error("nothing is handed on: %s", error)
                self._mismatch = str(error)
                await asyncio.sleep(_ASK_AGAIN_SECONDS)
            else:
                self._mismatch = ""
                return

    async def hand(self, events: Sequence[Handed]) -> Sequence[Event]:
        """Post an event to its route; raise `NotTakenError` as the status says."""
        [one] = events
        if self._asked_at != self._app.arrivals:
            async with self._asking:
                if self._asked_at != self._app.arrivals:
                    await self.start()
        route = self._routes.get(one.type)
        path = route.path(one) if route else None
        if route is None or path is None:
            raise NotTakenError(f"the service's own program subscribes no {one.type}")
        more = {"topic": route.topic, "pubsubname": route.pubsub, "traceid": one.trace.get("traceparent", "")}
        check(await self._app.post(path, [("content-type", STRUCTURED)], cloud_events.structured(one, more)))
        return ()

    async def _ask(self) -> None:
        answer = await self._app.get("/dapr/subscribe")
        if answer.status != 200:
            raise SubscriptionError(f"GET /dapr/subscribe of the service's own program answers {answer.status}")
        self._routes = dict(read_routes(answer.body, self._topics))
        self._asked_at = self._app.arrivals


def read_routes(body: bytes, topics: Mapping[str, str]) -> Iterable[tuple[str, Route]]:
    """Yield the events that a program subscribes and where it takes each; raise `SubscriptionError`."""
    try:
        subscriptions = msgspec.json.decode(body, type=list[dict[str, Any]])
        found = [_route(one) for one in subscriptions]
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise SubscriptionError(f"/dapr/subscribe of the service's own program: {error}") from None
    for route in found:
        if route.topic not in topics:
            known = ", ".join(sorted(set(topics)))
            raise SubscriptionError(
                f"the program subscribes topic {route.topic}, and its service none such (it has {known}): name it in "
                "the resource's subscribes, or the event's topic.name as the program does"
            )
        yield topics[route.topic], route
    if missing := sorted(set(topics.values()) - {topics[route.topic] for route in found}):
        raise SubscriptionError(f"the program does not subscribe {', '.join(missing)}, which its service does")


def _route(one: Mapping[str, Any]) -> Route:
    if (one.get("bulkSubscribe") or {}).get("enabled"):
        raise ValueError(f"topic {one['topic']}: bulkSubscribe is not spoken here; take its events singly")
    routes = one.get("routes") or {}
    rules = tuple(_rule(rule) for rule in routes.get("rules") or ())
    otherwise = one.get("route") or routes.get("default")
    return Route(str(one["pubsubname"]), str(one["topic"]), rules, _path(otherwise) if otherwise else None)


def _rule(rule: Mapping[str, Any]) -> tuple[str, str, str]:
    if (found := _RULE(str(rule["match"]))) is None:
        raise ValueError(f"the rule {rule['match']} is none of event.type == '…' and event.source == '…'")
    return found[1], found[3], _path(rule["path"])


def _path(path: object) -> str:
    return quote("/" + str(path).lstrip("/"), safe="/:@!$&'()*+,;=-._~%?")


def check(answer: Answer) -> None:
    """Raise `NotTakenError` for an answer that does not say SUCCESS."""
    reason = f"the service's own program answered {answer.status}"
    if answer.status == 404:
        raise NotTakenError(reason, Verdict.DROP)
    if not 200 <= answer.status < 300:
        raise NotTakenError(reason, Verdict.RETRY, retry_after(answer))
    match _status(answer.body):
        case "SUCCESS" | "" | None:
            return
        case "DROP":
            raise NotTakenError("the service's own program answered DROP", Verdict.DROP)
        case "RETRY":
            raise NotTakenError("the service's own program answered RETRY")
    raise NotTakenError("the service's own program answered a status that is none of SUCCESS, RETRY and DROP")


def _status(body: bytes) -> object:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # what is no JSON says nothing, and was taken
    return found.get("status") if isinstance(found, dict) else None
