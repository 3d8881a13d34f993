"""HTTP requests that come in and calls that go out, with spans around them: `process.py` wraps API and ports so.

Names and attributes follow OpenTelemetry's semantic conventions for HTTP; a call that is none (an e-mail) has only what
its port notes. A request's place in a trace is known when its command is, so its span is told when it is answered.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orderflow_contracts.envelope import trace_context
from orderflow_runtime.service import Call, Port
from orderflow_runtime.tracing.span_queue import Attributes, Kind, Span, SpanTemplate
from orderflow_runtime.tracing.trace_context import Trace, current, within
from orderflow_runtime.tracing.tracer import Asked, Tracer, asked

_FAULT = 500
_CONTEXT = (b"traceparent", b"tracestate")


class TracedPort:
    """A `Port` with a span around each question; the requests that the port makes carry its place."""

    def __init__(self, kind: str, port: Port, tracer: Tracer) -> None:
        self._port = port
        self._tracer = tracer
        self._perform = SpanTemplate(f"perform {kind}", Kind.CLIENT, (("orderflow.call.kind", kind),))
        self._lookup = SpanTemplate(f"lookup {kind}", Kind.CLIENT, (("orderflow.call.kind", kind),))

    async def perform(self, request: Mapping[str, Any], idempotency_key: str) -> dict[str, Any]:
        """Do it."""
        with _question(self._tracer, self._perform, idempotency_key):
            return await self._port.perform(request, idempotency_key)

    async def lookup(self, idempotency_key: str) -> dict[str, Any] | None:
        """Ask what became of it."""
        with _question(self._tracer, self._lookup, idempotency_key):
            return await self._port.lookup(idempotency_key)


def traced_calls(calls: Mapping[str, Call], tracer: Tracer) -> dict[str, Call]:
    """Return the calls with traced ports."""
    return {kind: replace(call, port=TracedPort(kind, call.port, tracer)) for kind, call in calls.items()}


@contextmanager
def _question(tracer: Tracer, template: SpanTemplate, call_id: str) -> Iterator[None]:
    above, began, error = current(), time.time_ns(), None
    place = tracer.child(above)
    with within(place) as notes:
        try:
            yield
        except BaseException as failure:
            error = type(failure).__name__
            raise
        finally:
            if place is not above:
                attributes = (("orderflow.call.id", call_id), *notes.items())
                tracer.add(Span(template, place, began, time.time_ns(), attributes, error=error))


class TracedApp:
    """An ASGI application whose recorded requests are told of, and whose commands know their request.

    `ignore` is told what of a request's trace context was left aside, by the kinds of docs/metrics.md.
    """

    def __init__(self, app: ASGIApp, tracer: Tracer, ignore: Callable[[Iterable[str]], None]) -> None:
        self._app = app
        self._tracer = tracer
        self._ignore = ignore
        self._templates: dict[tuple[str, str], SpanTemplate] = {}
        self._commands: dict[str, SpanTemplate] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request, began, status = Asked(self._incoming(scope)), time.time_ns(), _FAULT

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        token = asked.set(request)
        try:
            await self._app(scope, receive, answer)
        finally:
            asked.reset(token)
            self._tell(scope, request, began, status)

    def _incoming(self, scope: Scope) -> Trace:
        """Return the trace that a request came in; one that is not as the standard has it is none."""
        found = _context(scope)
        parent, state = trace_context(found)
        kept = {"traceparent": parent, "tracestate": state}
        if ignored := [name for name, value in found.items() if value and not kept[name]]:
            self._ignore(ignored)
        return Trace(parent, state)

    def _tell(self, scope: Scope, request: Asked, began: int, status: int) -> None:
        place = request.span or self._tracer.child(request.incoming)
        ended, error = time.time_ns(), str(status) if status >= _FAULT else None
        if place.parent_span_id:
            attributes = (("url.path", scope["path"]), ("http.response.status_code", status))
            self._tracer.add(Span(self._template(scope), place, began, ended, attributes, request.links, error))
        for name, command in request.commands.values():
            if (template := self._commands.get(name)) is None:
                template = self._commands[name] = SpanTemplate(name, Kind.INTERNAL)
            links = (place,) if place.parent_span_id else ()
            self._tracer.add(Span(template, command, began, ended, links=links, error=error))

    def _template(self, scope: Scope) -> SpanTemplate:
        found = scope.get("endpoint") not in (None, self)  # a mount leaves the mounted application there
        method, route = scope["method"], _route(scope) if found else ""
        if (template := self._templates.get((method, route))) is None:
            known: Attributes = (("http.request.method", method), ("url.scheme", scope["scheme"]))
            known += (("http.route", route),) if route else ()
            template = self._templates[method, route] = SpanTemplate(f"{method} {route}".rstrip(), Kind.SERVER, known)
        return template


def _context(scope: Scope) -> dict[str, bytes]:
    """Return the trace context's headers; several of a name are one list, which a tracestate may be."""
    found: dict[str, bytes] = {}
    for raw, value in scope["headers"]:
        if raw in _CONTEXT:
            name = raw.decode()
            found[name] = found[name] + b"," + value if name in found else value
    return found


def _route(scope: Scope) -> str:
    """Return the path with its parameters' names in the place of their values."""
    path: str = scope["path"]
    for name, value in scope.get("path_params", {}).items():
        path = path.replace(str(value), f"{{{name}}}")
    return path
